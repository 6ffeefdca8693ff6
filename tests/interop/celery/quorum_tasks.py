"""A Celery application with quorum queues: delays are the broker's (native delayed delivery), not the worker's."""

import os
import time

from celery import Celery
from kombu import Exchange, Queue

RUN = os.environ["INTEROP_RUN"]
QUEUE = f"interop-celery-quorum-{RUN}"
POISON = f"interop-celery-poison-{RUN}"
DEAD = f"interop-celery-dead-{RUN}"
RANKED = f"interop-celery-ranked-{RUN}"
RESULT_SECONDS = 2

app = Celery("quorum_tasks", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_default_exchange=QUEUE,
    task_default_exchange_type="topic",  # native delayed delivery does not work with a direct one
    task_default_routing_key=QUEUE,
    broker_native_delayed_delivery_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=False,
    broker_heartbeat=10,
    control_exchange=f"interop-quorum-control-{RUN}",
    event_exchange=f"interop-quorum-events-{RUN}",
    event_queue_ttl=60,
    control_queue_ttl=60,
    control_queue_expires=60,
    result_expires=RESULT_SECONDS,
)
app.amqp.queues.add(Queue(POISON, Exchange(QUEUE, type="topic"), routing_key=POISON, queue_arguments={
    "x-queue-type": "quorum", "x-delivery-limit": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}))
app.amqp.queues.add(Queue(RANKED, Exchange(QUEUE, type="topic"), routing_key=RANKED,
                          queue_arguments={"x-max-priority": 10}))


class Flaky(Exception):
    """An error that goes away when the task is tried again."""


def deaths(request):
    """Where a task's message has waited: (queue, reason, count), the last place first."""
    return [[death["queue"], death["reason"], death["count"]] for death in request.get("x-death") or []]


@app.task(bind=True)
def where_it_waited(self):
    return deaths(self.request)


@app.task(bind=True, autoretry_for=(Flaky,), retry_backoff=1, retry_jitter=False, max_retries=3)
def third_time_lucky(self):
    """Fails twice; answers how often it was retried, and where its message waited the last time."""
    if self.request.retries < 2:
        raise Flaky(self.request.retries)
    return [self.request.retries, deaths(self.request)]


@app.task
def started_at():
    return time.time()


@app.task(bind=True)
def lose_worker_once(self):
    """Takes its worker process down on the first delivery; answers whether this one is a redelivery."""
    if not self.request.delivery_info["redelivered"]:
        os._exit(1)
    return True


@app.task
def lose_worker():
    os._exit(1)
