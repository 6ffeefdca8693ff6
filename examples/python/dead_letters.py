"""Dead letters, and the way back: what a consumer rejects or nobody takes in time goes to another queue, with the story
in its header x-death. When the cause is mended, a redrive takes them back to the queue where they died. The redrive is asked for
over the HTTP API; `leveret redrive QUEUE --to-origin` does the same."""

import base64
import json
import os
import time
import urllib.parse
import urllib.request

import pika

AMQP = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
HTTP = os.environ.get("LEVERET_URL", "http://127.0.0.1:15672")


def http(method, path, body=None):
    """One call of the HTTP API, with the user of the address of AMQP."""
    login = urllib.parse.urlparse(AMQP)
    request = urllib.request.Request(HTTP + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(
        f"{login.username}:{login.password}".encode()).decode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def next_of(channel, queue):
    """Wait for the next message of a queue."""
    for method, properties, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise SystemExit(f"nothing came in {queue}")
        return method, properties, body.decode()


with pika.BlockingConnection(pika.URLParameters(AMQP)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=1)
    orders, dead = f"example-orders-{os.getpid()}", f"example-dead-{os.getpid()}"
    channel.queue_declare(dead, durable=True)
    channel.queue_declare(orders, durable=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})

    # The consumer does not know what to do with an order, and rejects it for good.
    channel.basic_publish("", orders, b"a hat for a hare", pika.BasicProperties(delivery_mode=2))
    method, properties, order = next_of(channel, orders)
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.cancel()

    method, properties, order = next_of(channel, dead)
    [death] = properties.headers["x-death"]
    print(f"dead: {order} - {death['reason']} in {death['queue']}")
    channel.basic_nack(method.delivery_tag, requeue=True)  # it stays among the dead
    channel.cancel()

    # The consumer has learned about hats; the dead may come back.
    path = f"/api/leveret/queues/%2F/{urllib.parse.quote(dead, safe='')}/redrive"
    asked = http("POST", path, {"to": {"origin": True}})
    while not (redrive := http("GET", f"/api/leveret/redrives/{asked['id']}"))["ended"]:
        time.sleep(0.05)
    print(f"redriven: {redrive['sent']}, {redrive['ended']}")

    method, properties, order = next_of(channel, orders)
    print(f"back: {order}")
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    for queue in (orders, dead):
        print(f"{queue}: {channel.queue_delete(queue).method.message_count} left")
