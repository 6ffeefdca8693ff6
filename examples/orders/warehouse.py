"""The warehouse takes hats from its shelf for each order, and tells shipping of the parcel."""

from common import Transaction, database, handle_once, say

db = database("warehouse")
with Transaction(db):
    db.execute("INSERT INTO shelf SELECT 100000 WHERE NOT EXISTS (SELECT 1 FROM shelf)")


def pack(order):
    db.execute("UPDATE shelf SET hats = hats - ?", [order["hats"]])
    say(db, "parcel", order)


handle_once("warehouse", db, pack)
