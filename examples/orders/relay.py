"""Publishes what stands in a service's outbox: relay.py SERVICE. A row goes when the broker has confirmed its message."""

import sys
import time

import pika

from common import database, with_channel

service = sys.argv[1]
db = database(service)


def serve(channel):
    channel.confirm_delivery()
    while True:
        rows = db.execute("SELECT number, kind, body FROM outbox ORDER BY number LIMIT 100").fetchall()
        for number, kind, body in rows:
            # The number is never used again, so it names the message, however often it is published.
            properties = pika.BasicProperties(delivery_mode=2, message_id=f"{service}-{number}", content_type="application/json")
            channel.basic_publish("shop", kind, body.encode(), properties, mandatory=True)
            db.execute("DELETE FROM outbox WHERE number = ?", [number])
        if not rows:
            channel.connection.process_data_events(time_limit=0.05)  # heartbeats


with_channel(serve)
