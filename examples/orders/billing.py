"""Billing adds up what is to be paid: 25 for a hat."""

from common import Transaction, database, handle_once

db = database("billing")
with Transaction(db):
    db.execute("INSERT INTO account SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM account)")


def bill(order):
    db.execute("UPDATE account SET due = due + ?, bills = bills + 1", [25 * order["hats"]])


handle_once("billing", db, bill)
