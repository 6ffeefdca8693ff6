"""One message there and back: declare a queue, publish to it, consume from it."""

import os

import pika

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()

    # Without a name the broker invents one; an exclusive queue ends with its connection.
    queue = channel.queue_declare("", exclusive=True).method.queue
    print("queue", queue)

    # The default exchange, "", delivers to the queue that the routing key names. With confirms on,
    # basic_publish returns when the broker has the message, and raises when it does not take it.
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"Hello, hare!", mandatory=True)
    print("published, acked by the broker")

    for method, properties, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise SystemExit("nothing came")
        print("received:", body.decode())
        channel.basic_ack(method.delivery_tag)
        break
