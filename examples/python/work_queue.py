"""A work queue with retries: a job that fails goes to the end of the queue with its attempts counted in a
header, and is set aside after the third."""

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


def publish(channel, queue, job, attempt):
    """Publish a job with its attempt; returns when the broker has taken it over."""
    properties = pika.BasicProperties(delivery_mode=2, headers={"attempt": attempt})
    channel.basic_publish("", queue, job.encode(), properties, mandatory=True)


def work(channel, jobs, failed):
    """Take one job at a time until each is either done or set aside."""
    channel.basic_qos(prefetch_count=1)
    still_open = len(JOBS)
    for method, properties, body in channel.consume(jobs, inactivity_timeout=10):
        if method is None:
            raise SystemExit("nothing came")
        job, attempt = body.decode(), properties.headers["attempt"]
        try:
            perform(job, attempt)
        except Exception as error:
            print(f"attempt {attempt}: {job} - {error}")
            if attempt < ATTEMPTS_MAX:
                publish(channel, jobs, job, attempt + 1)
            else:
                publish(channel, failed, job, attempt)
                still_open -= 1
        else:
            print(f"attempt {attempt}: {job} - done")
            still_open -= 1
        # Only now: the broker has confirmed the copy, so a crash can repeat a job but not lose it.
        channel.basic_ack(method.delivery_tag)
        if not still_open:
            break
    channel.cancel()


def main():
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        # Durable queues and persistent messages outlive the broker's restart.
        jobs, failed = f"example-jobs-{os.getpid()}", f"example-failed-{os.getpid()}"
        for queue in (jobs, failed):
            channel.queue_declare(queue, durable=True)
        for job in JOBS:
            publish(channel, jobs, job, 1)
        work(channel, jobs, failed)
        for queue in (jobs, failed):
            print(f"{queue}: {channel.queue_delete(queue).method.message_count} left")


main()
