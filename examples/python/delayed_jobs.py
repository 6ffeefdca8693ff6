"""Delayed jobs: a message with the header x-delay (milliseconds) or x-deliver-at (a time) is routed when that is over. Until
then it waits in the broker, on disk if it is persistent, and holds nothing else up."""

import os
import time

import pika

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
start = time.time()


def headers(**values):
    return pika.BasicProperties(delivery_mode=2, headers=values)


with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    queue = f"example-later-{os.getpid()}"
    channel.queue_declare(queue, durable=True)

    # x-delay works on any exchange (RabbitMQ: on those of type x-delayed-message, from a plugin).
    for job, properties in {
        "remind, in 900 ms": headers(**{"x-delay": 900}),
        "remind, in 300 ms": headers(**{"x-delay": 300}),
        "remind, at a moment": headers(**{"x-deliver-at": int((start + 0.6) * 1000)}),
        "at once": headers(),
    }.items():
        channel.basic_publish("", queue, job.encode(), properties)

    done = 0
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
        if method is None:
            raise SystemExit("nothing came")
        print(f"{time.time() - start:.1f} s: {body.decode()}")
        done += 1
        if done == 4:
            break
    channel.cancel()
    channel.queue_delete(queue)
