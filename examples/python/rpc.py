"""Calls and answers (RPC). The caller needs no queue: it consumes the pseudo-queue amq.rabbitmq.reply-to, and the
broker takes answers straight to it. The correlation id says which call an answer is for."""

import os
import threading

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
QUEUE = f"example-squares-{os.getpid()}"


def serve(ready):
    """Answer three calls. In life this is another program, on another machine."""
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, auto_delete=True)
        channel.basic_qos(prefetch_count=1)
        ready.set()
        for method, properties, body in channel.consume(QUEUE):
            answer = pika.BasicProperties(correlation_id=properties.correlation_id)
            channel.basic_publish("", properties.reply_to, str(int(body) ** 2).encode(), answer)
            channel.basic_ack(method.delivery_tag)
            if method.delivery_tag == 3:
                break
        channel.cancel()


def call():
    """Call three times at once, and take the answers as they come."""
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        answers = {}

        def on_answer(_channel, _method, properties, body):
            answers[properties.correlation_id] = int(body)
            if len(answers) == 3:
                channel.stop_consuming()

        # Consume first, then publish, on the same channel.
        channel.basic_consume("amq.rabbitmq.reply-to", on_answer, auto_ack=True)
        for number in (3, 4, 5):
            properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=f"call {number}")
            channel.basic_publish("", QUEUE, str(number).encode(), properties)
        channel.start_consuming()
        for which, answer in sorted(answers.items()):
            print(f"{which}: {answer}")


ready = threading.Event()
server = threading.Thread(target=serve, args=[ready], daemon=True)
server.start()
if not ready.wait(10):
    raise SystemExit("nobody serves")
call()
server.join()
