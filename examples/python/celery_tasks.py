"""Celery: a task that fails twice and then succeeds, and one that is to run later. The file is the application and, run by
itself, the program that calls it; the worker is a process of its own, as in life:

    celery --app celery_tasks worker
"""

import os
import subprocess
import sys

from celery import Celery

QUEUE = os.environ.setdefault("EXAMPLE_QUEUE", f"example-celery-{os.getpid()}")

app = Celery("celery_tasks", broker=os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672"), backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_default_exchange=QUEUE,
    task_default_exchange_type="topic",
    task_default_routing_key=QUEUE,
    # A quorum queue: countdowns and retries wait in the broker, in queues that Celery declares for it, and not in the worker.
    task_default_queue_type="quorum",
    broker_native_delayed_delivery_queue_type="quorum",
    # A task is acknowledged when it is done: one whose worker dies runs again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_backoff=1, retry_jitter=False, max_retries=3)
def upload(self, name):
    if self.request.retries < 2:
        raise ConnectionError("connection reset")
    return f"{name} is there, after {self.request.retries} retries"


@app.task
def remind(what):
    return f"remember: {what}"


def main():
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "--app", "celery_tasks", "worker", "--loglevel=ERROR",
               "--concurrency=1", "--without-gossip", "--without-mingle", f"--hostname={QUEUE}@localhost"]
    worker = subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)), stderr=subprocess.STDOUT,
                              env=os.environ | {"C_FORCE_ROOT": "1"})
    try:
        print(upload.delay("hare.png").get(timeout=40))
        # The worker has declared the queues by now in which a countdown waits; before that it would be lost.
        print(remind.apply_async(["water the clover"], countdown=2).get(timeout=40))
    finally:
        worker.terminate()  # a warm shutdown: it finishes what it has begun
        worker.wait(timeout=15)


if __name__ == "__main__":
    main()
