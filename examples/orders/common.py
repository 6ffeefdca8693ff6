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

TABLES = {  # of each service, beside those of all
    "shop": ["orders (number INTEGER PRIMARY KEY, hats INTEGER NOT NULL)"],
    "warehouse": ["shelf (hats INTEGER NOT NULL)"],
    "billing": ["account (due INTEGER NOT NULL, bills INTEGER NOT NULL)"],
    "shipping": ["parcels (order_number INTEGER NOT NULL)"],
}


def database(service):
    """The service's own database; what it has committed is on the disk. A file of SQLite in ORDERS_FOLDER, or a schema of the PostgreSQL
    that ORDERS_DATABASE names. The statements are those that both know; `?` is a value."""
    address = os.environ.get("ORDERS_DATABASE")
    db = PostgreSQL(address, service) if address else SQLite(service)
    with Transaction(db):
        db.lock()
        for table in (f"outbox (number {db.NUMBER}, kind TEXT NOT NULL, body TEXT NOT NULL)", "seen (message TEXT PRIMARY KEY)", *TABLES[service]):
            db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
    return db


class SQLite:
    BEGIN = "BEGIN IMMEDIATE"  # one that writes; a later change of mind could fail
    NUMBER = "INTEGER PRIMARY KEY AUTOINCREMENT"

    def __init__(self, service):
        path = os.path.join(os.environ.get("ORDERS_FOLDER", "."), f"{service}.sqlite")
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")

    def lock(self):
        """Nothing to do: one writes at a time."""

    def execute(self, statement, values=()):
        return self.connection.execute(statement, values)


class PostgreSQL:
    BEGIN = "BEGIN"
    NUMBER = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def __init__(self, address, service):
        import psycopg

        self.connection = psycopg.connect(address, autocommit=True, options=f"-c search_path={service}")
        self.service = service

    def lock(self):
        """Two processes that make the same tables do it one after the other."""
        self.execute("SELECT pg_advisory_xact_lock(1)")
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {self.service}")

    def execute(self, statement, values=()):
        return self.connection.execute(statement.replace("?", "%s"), values)


class Transaction:
    """All of it, or nothing."""

    def __init__(self, db):
        self.db = db

    def __enter__(self):
        self.db.execute(self.db.BEGIN)

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
                new = db.execute("INSERT INTO seen VALUES (?) ON CONFLICT DO NOTHING", [properties.message_id]).rowcount
                if new:
                    handle(json.loads(body))
            channel.basic_ack(method.delivery_tag)

    with_channel(serve)
