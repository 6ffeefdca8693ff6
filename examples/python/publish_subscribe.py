"""Publish and subscribe: an exchange of type fanout copies each message to every queue that is bound to it."""

import os

import pika

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()

    # An exchange with auto-delete goes when the last queue bound to it has gone.
    exchange = f"example-news-{os.getpid()}"
    channel.exchange_declare(exchange, "fanout", auto_delete=True)

    # Each subscriber has a queue of its own; what was published before it was bound does not reach it.
    subscribers = {}
    for name in ("archive", "screen"):
        subscribers[name] = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(subscribers[name], exchange)

    channel.confirm_delivery()
    for news in ("the hare is awake", "the fox is not"):
        channel.basic_publish(exchange, "", news.encode(), mandatory=True)

    for name, queue in subscribers.items():
        for _ in range(2):
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            print(f"{name}: {body.decode()}")
