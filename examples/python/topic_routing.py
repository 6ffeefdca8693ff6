"""Topic routing: each queue names the messages it wants by a pattern over the words of their keys. * is one
word, # is any number of them."""

import os

import pika

PATTERNS = ["field.*.seen", "#.fox", "field.#"]
KEYS = ["field.hare.seen", "field.hare", "forest.deep.fox", "forest.hare.seen"]

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()

    # An exchange with auto-delete goes when the last queue bound to it has gone.
    exchange = f"example-sightings-{os.getpid()}"
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    queues = {}
    for pattern in PATTERNS:
        queues[pattern] = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queues[pattern], exchange, pattern)

    # A confirmed message stands in every queue it was routed to.
    channel.confirm_delivery()
    for key in KEYS:
        channel.basic_publish(exchange, key, key.encode())

    for pattern, queue in queues.items():
        print(pattern)
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                break
            print(" ", method.routing_key)
