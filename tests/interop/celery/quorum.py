"""Celery with quorum queues: its ladder of delays, priorities, poisonous tasks, and result queues that expire."""

import threading
import time

from amqp.exceptions import NotFound
from kombu import Connection, Producer

import quorum_tasks as tasks
from harness import URL, WAIT_SECONDS, equal, holds, until
from worker import running

LEVELS = 28  # kombu's ladder: the queue celery_delayed_N holds a message for 2^N seconds


def check():
    with Connection(URL) as connection:
        connection.default_channel.queue_declare(tasks.DEAD, durable=True, auto_delete=False)
        ranked = priorities_sent()
        with running("quorum_tasks", [tasks.QUEUE, tasks.POISON, tasks.RANKED], processes=1):
            priorities(ranked)
            delays(connection)
            lost_workers(connection)
            forgotten_result(connection)
        tasks.app.backend.result_consumer.stop()
        clean_up(connection)


def count(connection, queue):
    """How many messages are ready in a queue; None when there is no such queue."""
    with connection.channel() as channel:
        try:
            return channel.queue_declare(queue, passive=True).message_count
        except NotFound:
            return None


def priorities_sent():
    """Tasks that wait before there is a worker."""
    return {rank: tasks.started_at.apply_async(queue=tasks.RANKED, priority=rank) for rank in (0, 5, 9, 1)}


def priorities(sent):
    started = {rank: result.get(timeout=3 * WAIT_SECONDS) for rank, result in sent.items()}
    equal("the task with the higher priority first", sorted(started, key=started.get), [9, 5, 1, 0])


def delays(connection):
    """A countdown is a walk down the ladder; so is the backoff of a retry."""
    equal("the ladder stands", [count(connection, f"celery_delayed_{level}") for level in range(LEVELS)], [0] * LEVELS)
    start = time.monotonic()
    result = tasks.where_it_waited.apply_async(countdown=3)
    for level in (1, 0):
        until(f"a task on level {level}", lambda: count(connection, f"celery_delayed_{level}"))
    equal("a task with a countdown waits on the ladder", result.get(timeout=WAIT_SECONDS),
          [["celery_delayed_0", "expired", 1], ["celery_delayed_1", "expired", 1]])
    holds("not before its time", time.monotonic() - start > 2.9)
    start = time.monotonic()
    retries, waited = tasks.third_time_lucky.delay().get(timeout=2 * WAIT_SECONDS)
    equal("a task is retried", retries, 2)
    holds("with a backoff of one second, then two", time.monotonic() - start > 2.9)
    equal("the second of which it spent on the ladder", waited[0][:2], ["celery_delayed_1", "expired"])


def lost_workers(connection):
    equal("a task of a lost worker process runs again, redelivered",
          tasks.lose_worker_once.delay().get(timeout=2 * WAIT_SECONDS), True)
    poison = tasks.lose_worker.apply_async(queue=tasks.POISON)
    # Celery may take five seconds to see that a process is lost.
    until("a dead task", lambda: count(connection, tasks.DEAD), seconds=3 * WAIT_SECONDS)
    with connection.channel() as channel:
        message = channel.basic_get(tasks.DEAD, no_ack=True)
    [death] = message.headers["x-death"]
    equal("a task that takes every worker process down is set aside",
          (message.headers["id"], death["queue"], death["reason"]), (poison.id, tasks.POISON, "delivery_limit"))


def forgotten_result(connection):
    """A caller that never asks for its result: the queue of its rpc:// backend holds it, until it expires."""
    queues = []

    def call():  # a thread has a queue of its own
        tasks.started_at.delay()
        queues.append(tasks.app.thread_oid)

    caller = threading.Thread(target=call)
    caller.start()
    caller.join()
    [queue] = queues
    until("a result that nobody fetches", lambda: count(connection, queue))
    start = time.monotonic()
    until("the queue of the results to go", lambda: gone(queue))
    holds("a forgotten queue of results expires, when its time has come",
          time.monotonic() - start > tasks.RESULT_SECONDS - 0.1)


def gone(queue):
    """Whether a queue is gone. A passive declaration would count as a use and renew its lease; a publish does not."""
    returned = []
    with Connection(URL, transport_options={"confirm_publish": True}) as confirming:
        producer = Producer(confirming, on_return=lambda *what: returned.append(what))
        producer.publish("", routing_key=queue, mandatory=True)
    return returned


def clean_up(connection):
    channel = connection.default_channel
    ladder = [f"celery_delayed_{level}" for level in range(LEVELS)]
    for queue in (tasks.QUEUE, tasks.POISON, tasks.RANKED, tasks.DEAD, *ladder):
        channel.queue_delete(queue)
    control, events = tasks.app.conf.control_exchange, tasks.app.conf.event_exchange
    for exchange in (tasks.QUEUE, f"{control}.pidbox", f"reply.{control}.pidbox", events, *ladder,
                     "celery_delayed_delivery"):
        channel.exchange_delete(exchange)
