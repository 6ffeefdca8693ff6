"""Routing: an exchange of type direct gives a message to the queues that are bound with exactly its routing key."""

import os

import pika

BINDINGS = {"on disk": ["error"], "on screen": ["info", "warning", "error"]}
LINES = {"info": "listening", "warning": "the disk fills", "error": "the disk is full", "debug": "nobody wants this"}

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    exchange = f"example-log-{os.getpid()}"
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    queues = {}
    for place, keys in BINDINGS.items():
        queues[place] = channel.queue_declare("", exclusive=True).method.queue
        for key in keys:  # a queue may have as many bindings as it likes
            channel.queue_bind(queues[place], exchange, key)

    # A confirmed message stands in every queue it was routed to: none, for the last line.
    channel.confirm_delivery()
    for key, line in LINES.items():
        channel.basic_publish(exchange, key, line.encode())

    for place, queue in queues.items():
        print(place)
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                break
            print(f"  {method.routing_key}: {body.decode()}")
