"""What the services share: the queues, a database for each service, and what makes both agree.

A service changes its database and says so to others. Two systems cannot be changed in one step, so it writes what it has to say into a table
of its own database, the outbox, in the same transaction; a relay publishes that, and forgets it when the broker has confirmed it. A crash in between
has it published twice. So whoever takes a message notes its number in the transaction in which it does the work, and acks afterwards:
what comes again is known, and only acked.
"""

import json
import os
import sqlite3
import time

import pika
from pika.exceptions import AMQPError

QUEUES = {"warehouse": "order", "billing": "order", "shipping": "parcel"}  # and the kind of message that each takes


def database(service, tables):
    """The service's own database; what it has committed is on the disk."""
    path = os.path.join(os.environ.get("ORDERS_FOLDER", "."), f"{service}.sqlite")
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(f"""
        BEGIN IMMEDIATE;
        CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS seen (message TEXT PRIMARY KEY) WITHOUT ROWID;
        {tables}
        COMMIT;
    """)
    return db


class Transaction:
    """All of it, or nothing."""

    def __init__(self, db):
        self.db = db

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, failed, *_):
        self.db.execute("ROLLBACK" if failed else "COMMIT")


def say(db, kind, body):
    """Into the outbox; within a transaction."""
    db.execute("INSERT INTO outbox (kind, body) VALUES (?, ?)", (kind, json.dumps(body)))


def with_channel(serve):
    """Serve, and connect again when the broker was away."""
    parameters = pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672"))
    while True:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                declare(channel)
                serve(channel)
        except (AMQPError, OSError):
            time.sleep(0.1)


def declare(channel):
    """Every service does it: whoever comes first makes the queues, so that nothing is published to nobody."""
    channel.exchange_declare("shop", "direct", durable=True)
    channel.queue_declare("shop.dead", durable=True)
    for queue, kind in QUEUES.items():
        channel.queue_declare(queue, durable=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "shop.dead"})
        channel.queue_bind(queue, "shop", kind)


def handle_once(service, db, handle):
    """Call handle(body) once for each message of the service's queue, in the transaction that notes its number."""
    def serve(channel):
        channel.basic_qos(prefetch_count=20)
        for method, properties, body in channel.consume(service):
            with Transaction(db):
                new = db.execute("INSERT OR IGNORE INTO seen VALUES (?)", [properties.message_id]).rowcount
                if new:
                    handle(json.loads(body))
            channel.basic_ack(method.delivery_tag)

    with_channel(serve)
