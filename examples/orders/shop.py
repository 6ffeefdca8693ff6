"""The shop takes orders: ORDERS_COUNT of them (default 100), and goes on where it was when it is started again."""

import os
import time

from common import Transaction, database, say

db = database("shop")
wanted = int(os.environ.get("ORDERS_COUNT", "100"))

while (number := db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM orders").fetchone()[0]) <= wanted:
    hats = number % 3 + 1
    with Transaction(db):
        db.execute("INSERT INTO orders VALUES (?, ?)", (number, hats))
        say(db, "order", {"order": number, "hats": hats})
    time.sleep(0.01)  # customers take their time

while True:  # the shop stays open
    time.sleep(1)
