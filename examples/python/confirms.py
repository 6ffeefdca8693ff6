"""Confirms: the publisher learns what became of each message. Acked: every queue of its route has it, on disk if queue
and message are durable. Returned: there is no such queue. Nacked: a queue did not take it."""

import os

import pika
from pika.exceptions import NackError, UnroutableError

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")

with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    queue = f"example-confirmed-{os.getpid()}"
    channel.queue_declare(queue, durable=True, arguments={"x-max-length": 3, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    persistent = pika.BasicProperties(delivery_mode=2)

    # pika waits for each confirm in turn; for many at once see confirms.rs.
    for number in range(5):
        try:
            channel.basic_publish("", queue, b"an order", persistent, mandatory=True)
            print(f"{number}: safe")
        except NackError:
            print(f"{number}: not taken, the queue is full")  # keep it, and try again later

    # Without `mandatory` a message without a queue is acked, and gone.
    try:
        channel.basic_publish("", f"{queue}-misspelt", b"an order", persistent, mandatory=True)
        print("this cannot be")
    except UnroutableError as error:
        print(f"returned: {error.messages[0].method.reply_text}")

    print(channel.queue_delete(queue).method.message_count, "in the queue")
