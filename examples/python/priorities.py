"""Priorities: in a queue with x-max-priority, messages with a higher priority go first, and those of the same in their
order. Only what waits can be overtaken: a consumer with a large prefetch has its messages already."""

import os

import pika

JOBS = [("tidy up", 0), ("invoice", 5), ("alarm", 9), ("second invoice", 5)]

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    queue = f"example-ranked-{os.getpid()}"
    channel.queue_declare(queue, durable=True, arguments={"x-max-priority": 9})
    for job, priority in JOBS:
        channel.basic_publish("", queue, job.encode(), pika.BasicProperties(delivery_mode=2, priority=priority))

    channel.basic_qos(prefetch_count=1)
    done = 0
    for method, properties, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise SystemExit("nothing came")
        print(f"{properties.priority}: {body.decode()}")
        channel.basic_ack(method.delivery_tag)
        done += 1
        if done == len(JOBS):
            break
    channel.cancel()
    channel.queue_delete(queue)
