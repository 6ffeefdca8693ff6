"""A work queue with retries: a job that fails comes again at once, and is set aside after the third attempt. The
queue counts; the worker acks or rejects. (retries.py waits between the attempts.)"""

import os

import pika

JOBS = ["resize hare.png", "flaky upload", "impossible request", "send a letter"]
ATTEMPTS_MAX = 3


def perform(job, attempt):
    """The work itself. One job succeeds at its second attempt, one never does."""
    if job == "flaky upload" and attempt == 1:
        raise ConnectionError("connection reset")
    if job == "impossible request":
        raise ValueError("not in this universe")


def declare(channel, jobs, failed):
    """Durable queues and persistent messages outlive the broker's restart."""
    channel.queue_declare(failed, durable=True)
    channel.queue_declare(jobs, durable=True, arguments={
        "x-queue-type": "quorum",  # it counts deliveries
        "x-delivery-limit": ATTEMPTS_MAX - 1,  # redeliveries; then a job is a dead letter
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": failed,
    })


def work(channel, jobs):
    """Take one job at a time until each is either done or set aside."""
    channel.basic_qos(prefetch_count=1)
    still_open = len(JOBS)
    for method, properties, body in channel.consume(jobs, inactivity_timeout=10):
        if method is None:
            raise SystemExit("nothing came")
        # Nothing says how often a job was delivered before when it was not.
        job, attempt = body.decode(), (properties.headers or {}).get("x-delivery-count", 0) + 1
        try:
            perform(job, attempt)
        except Exception as error:
            print(f"attempt {attempt}: {job} - {error}")
            channel.basic_reject(method.delivery_tag, requeue=True)
            still_open -= attempt == ATTEMPTS_MAX
        else:
            print(f"attempt {attempt}: {job} - done")
            channel.basic_ack(method.delivery_tag)
            still_open -= 1
        if not still_open:
            break
    channel.cancel()


def main():
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        jobs, failed = f"example-jobs-{os.getpid()}", f"example-failed-{os.getpid()}"
        declare(channel, jobs, failed)
        for job in JOBS:
            channel.basic_publish("", jobs, job.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
        work(channel, jobs)
        for queue in (jobs, failed):
            print(f"{queue}: {channel.queue_delete(queue).method.message_count} left")


main()
