"""The Celery application under test: its worker runs as a process of its own."""

import os

from celery import Celery
from kombu import Exchange, Queue

RUN = os.environ["INTEROP_RUN"]
QUEUE = f"interop-celery-{RUN}"

app = Celery("tasks", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_queues=[Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE)],
    task_default_exchange=QUEUE,
    task_default_routing_key=QUEUE,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=False,
    broker_heartbeat=10,
    control_exchange=f"interop-control-{RUN}",
    event_exchange=f"interop-events-{RUN}",
    event_queue_ttl=60,
    control_queue_ttl=60,
    control_queue_expires=60,
    result_expires=60,
)


class Flaky(Exception):
    """An error that goes away when the task is tried again."""


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, autoretry_for=(Flaky,), retry_backoff=0.05, retry_jitter=False, max_retries=3)
def third_time_lucky(self):
    """Fails twice; answers how often it was retried."""
    if self.request.retries < 2:
        raise Flaky(self.request.retries)
    return self.request.retries


@app.task(bind=True)
def lose_worker_once(self):
    """Takes its worker process down on the first delivery; answers whether this one is a redelivery."""
    if not self.request.delivery_info["redelivered"]:
        os._exit(1)
    return True


@app.task
def fail():
    raise ValueError("as expected")


@app.task
def word_count(text):
    return len(text.split())
