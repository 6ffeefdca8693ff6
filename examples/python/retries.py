"""A work queue that tries failed jobs again after growing waits and sets hopeless ones aside: its arguments say how
long, how often, and where to. The worker acks or nacks, and no more."""

import os
import time

import pika

JOBS = ["resize hare.png", "flaky upload", "impossible request", "send a letter"]


def perform(job, attempt):
    """The work itself. One job succeeds at its second attempt, one never does."""
    if job == "flaky upload" and attempt == 1:
        raise ConnectionError("connection reset")
    if job == "impossible request":
        raise ValueError("not in this universe")


def declare(channel, jobs, failed):
    """The queue of the jobs, and the one for those that are given up."""
    channel.queue_declare(failed, durable=True)
    channel.queue_declare(jobs, durable=True, arguments={
        "x-queue-type": "quorum",  # it counts deliveries
        "x-delivery-limit": 3,  # as many retries; then a job is a dead letter
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": failed,
        "x-delayed-retry-type": "all",
        "x-delayed-retry-min": 200,  # ms; then 400, 800, ...
        "x-delayed-retry-max": 60_000,
        "x-delayed-retry-backoff": "exponential",
        "x-delayed-retry-multiplier": 2,
    })


def deliveries(properties):
    """How often a job was delivered before; nothing says so when it was not."""
    return (properties.headers or {}).get("x-delivery-count", 0)


def work(channel, jobs, failed):
    """Take one job at a time until each is either done or set aside."""
    start, still_open = time.monotonic(), set(JOBS)

    def close(job):
        still_open.remove(job)
        if not still_open:
            channel.stop_consuming()

    def on_job(_channel, method, properties, body):
        job, attempt = body.decode(), deliveries(properties) + 1
        at = f"{time.monotonic() - start:.1f} s, attempt {attempt}: {job}"
        try:
            perform(job, attempt)
        except Exception as error:
            print(f"{at} - {error}")
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            print(f"{at} - done")
            channel.basic_ack(method.delivery_tag)
            close(job)

    def on_failed(_channel, method, properties, body):
        [death] = properties.headers["x-death"]
        print(f"{time.monotonic() - start:.1f} s, set aside: {body.decode()} - {death['reason']} in {death['queue']}")
        channel.basic_ack(method.delivery_tag)
        close(body.decode())

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(jobs, on_job)
    channel.basic_consume(failed, on_failed)
    channel.start_consuming()


def main():
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        jobs, failed = f"example-retried-{os.getpid()}", f"example-given-up-{os.getpid()}"
        declare(channel, jobs, failed)
        for job in JOBS:
            channel.basic_publish("", jobs, job.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
        work(channel, jobs, failed)
        for queue in (jobs, failed):
            print(f"{queue}: {channel.queue_delete(queue).method.message_count} left")


main()
