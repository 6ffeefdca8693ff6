"""Shipping writes down each parcel that leaves the house."""

from common import database, handle_once

db = database("shipping")


def ship(order):
    db.execute("INSERT INTO parcels VALUES (?)", [order["order"]])


handle_once("shipping", db, ship)
