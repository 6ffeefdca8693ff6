"""kombu, and real Celery workers: late acks, retries, countdowns, rpc:// results, lost worker processes, quorum queues."""

import os
import socket
import time
from collections import deque
from datetime import datetime, timedelta, timezone

import celery
import kombu
from celery import chain, group
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.exceptions import ChannelError

from harness import (
    HEADER_CASES, RUN, TEN, TOPIC_KEYS, TOPIC_PATTERNS, URL, WAIT_SECONDS,
    client, equal, expected_headers, expected_keys, holds, name, until,
)

os.environ |= {"INTEROP_RUN": RUN, "AMQP_URL": URL}
import quorum  # noqa: E402  the applications read their queues' names from the environment
import tasks  # noqa: E402
from worker import hostname, running  # noqa: E402


def pump(connection, what, done):
    """Handle what the broker sends until done() is true."""
    try:
        while not done():
            connection.drain_events(timeout=WAIT_SECONDS)
    except socket.timeout:
        raise SystemExit(f"waited {WAIT_SECONDS} s in vain for {what}") from None


def drain(channel, queue):
    """Everything that waits in a queue, taken with basic.get."""
    bodies = []
    while message := queue(channel).get(no_ack=True):
        bodies.append(message.payload)
    return bodies


def kombu_work_queue():
    """Consumer with prefetch, ack, requeue; redelivery after the connection closed."""
    queue = Queue(name("kombu-work"), Exchange(name("kombu-work"), type="direct"), routing_key="jobs", durable=True)
    first, inbox = Connection(URL, transport_options={"confirm_publish": True}), deque()
    with first:
        producer = Producer(first)
        for job in TEN:
            producer.publish({"job": job.decode()}, exchange=queue.exchange, routing_key="jobs", declare=[queue],
                             serializer="json", compression="zlib")
        consumer = Consumer(first, [queue], on_message=inbox.append, prefetch_count=4)
        consumer.consume()
        pump(first, "four jobs", lambda: len(inbox) == 4)
        equal("the first four jobs come in order, decompressed and decoded", [m.payload["job"] for m in inbox],
              [job.decode() for job in TEN[:4]])
        inbox.popleft().ack()
        pump(first, "a fifth job", lambda: len(inbox) == 4)
        inbox.popleft().requeue()
        pump(first, "the requeued job", lambda: len(inbox) == 4)
        again = inbox.pop()
        equal("a requeued job comes back, redelivered",
              (again.payload["job"], again.delivery_info["redelivered"]), (TEN[1].decode(), True))
        again.ack()
    inbox.clear()
    with Connection(URL) as second:
        with Consumer(second, [queue], on_message=inbox.append):
            pump(second, "eight jobs", lambda: len(inbox) == 8)
            equal("unacked jobs of a closed connection come back in order, before the rest",
                  [m.payload["job"] for m in inbox], [job.decode() for job in TEN[2:]])
            for message in inbox:
                message.ack()
        bound = queue(second)
        equal("nothing is left", bound.queue_declare(passive=True).message_count, 0)
        bound.delete()
        bound.exchange.delete()


def kombu_routing(connection):
    """Topic and headers exchanges, an exchange bound to an exchange, purge."""
    channel = connection.channel()
    topic = Exchange(name("kombu-topic"), type="topic", durable=False)(channel)
    headers = Exchange(name("kombu-headers"), type="headers", durable=False)(channel)
    queues = {pattern: Queue(name(f"kombu-{i}"), topic, routing_key=pattern, exclusive=True)
              for i, pattern in enumerate(TOPIC_PATTERNS)}
    for match in ("all", "any"):
        queues[match] = Queue(name(f"kombu-{match}"), headers, exclusive=True,
                              binding_arguments={"x-match": match, "format": "pdf", "type": "report"})
    for queue in queues.values():
        queue(channel).declare()
    producer = Producer(channel)
    for key in TOPIC_KEYS:
        producer.publish(key, exchange=topic, routing_key=key)
    for case, (values, _) in HEADER_CASES.items():
        producer.publish(case, exchange=headers, headers=values)
    for pattern in TOPIC_PATTERNS:
        equal(f"topic {pattern}", drain(channel, queues[pattern]), expected_keys(pattern))
    for match in ("all", "any"):
        equal(f"headers x-match {match}", drain(channel, queues[match]), expected_headers(match))
    source = Exchange(name("kombu-source"), type="fanout", durable=False)(channel)
    source.declare()
    topic.bind_to(source)
    topic.bind_to(source, routing_key="again")  # a second binding, still one copy
    producer.publish("through two exchanges", exchange=source, routing_key="lazy")
    equal("a message goes through an exchange-to-exchange binding, once",
          drain(channel, queues["lazy.#"]), ["through two exchanges"])
    equal("purge counts", queues["#"](channel).purge(), 1)
    for exchange in (topic, headers, source):
        exchange.delete()
    channel.close()


def kombu_rpc(connection):
    """Direct reply-to with several requests under way."""
    channel = connection.channel()
    queue = Queue(name("kombu-rpc"), exclusive=True)(channel)
    queue.declare()
    requests, answers = deque(), deque()
    producer = Producer(channel)
    reply_to = Queue("amq.rabbitmq.reply-to", no_declare=True)
    with Consumer(channel, [reply_to], on_message=answers.append, no_ack=True, auto_declare=False):
        for i in range(5):
            producer.publish(i, routing_key=queue.name, reply_to="amq.rabbitmq.reply-to", correlation_id=f"call-{i}",
                             serializer="json")
        with Consumer(connection.channel(), [queue], on_message=requests.append, no_ack=True):
            pump(connection, "five requests", lambda: len(requests) == 5)
        for request in reversed(requests):
            producer.publish(request.payload**2, routing_key=request.properties["reply_to"], serializer="json",
                             correlation_id=request.properties["correlation_id"])
        pump(connection, "five answers", lambda: len(answers) == 5)
    equal("each answer finds its request",
          [(answer.properties["correlation_id"], answer.payload) for answer in answers],
          [(f"call-{i}", i * i) for i in (4, 3, 2, 1, 0)])
    channel.close()


def kombu_confirms_and_errors(connection):
    """Returns, SimpleQueue, and the errors kombu turns into exceptions."""
    returned = []
    with Connection(URL, transport_options={"confirm_publish": True}) as confirming:
        producer = Producer(confirming, on_return=lambda error, exchange, key, message: returned.append((error.reply_code, key)))
        producer.publish("lost", routing_key=name("nowhere"), mandatory=True)
        equal("the return precedes the ack: 312 NO_ROUTE", returned, [(312, name("nowhere"))])
    queue = Queue(name("kombu-errors"), durable=False)
    queue(connection.channel()).declare()
    other = connection.clone()
    exclusive = Queue(name("kombu-exclusive"), exclusive=True)
    exclusive(connection.channel()).declare()
    for what, code, on, action in (
        ("passive declare of a missing queue: 404", 404, connection,
         lambda c: Queue(name("missing"))(c).queue_declare(passive=True)),
        ("redeclare with other arguments: 406", 406, connection,
         lambda c: Queue(queue.name, durable=True)(c).queue_declare()),
        ("another connection's exclusive queue: 405", 405, other,
         lambda c: Queue(exclusive.name)(c).queue_declare(passive=True)),
    ):
        try:
            action(on.channel())
        except (ChannelError, *connection.channel_errors) as error:
            equal(what, error.reply_code, code)
        else:
            raise SystemExit(f"not refused: {what}")
    other.release()
    queue(connection.channel()).delete()
    simple = connection.SimpleQueue(name("kombu-simple"))
    simple.put({"any": ["object", 1, None]})
    message = simple.get(timeout=WAIT_SECONDS)
    equal("SimpleQueue puts and gets", message.payload, {"any": ["object", 1, None]})
    message.ack()
    bound = simple.queue(simple.channel)
    simple.close()
    cleanup = connection.channel()
    cleanup.queue_delete(bound.name)
    cleanup.exchange_delete(bound.exchange.name)


def celery_tasks():
    """What applications do with Celery, through a worker process of its own."""
    result = tasks.add.delay(2, 3)
    equal("a task answers over rpc://", result.get(timeout=30), 5)
    results = [tasks.add.delay(i, i) for i in range(20)]
    equal("twenty tasks at once", [r.get(timeout=WAIT_SECONDS) for r in results], [2 * i for i in range(20)])
    equal("a task is retried with backoff", tasks.third_time_lucky.delay().get(timeout=WAIT_SECONDS), 2)
    start = time.monotonic()
    equal("a task with a countdown answers", tasks.add.apply_async((1, 1), countdown=1).get(timeout=WAIT_SECONDS), 2)
    holds("not before its time", time.monotonic() - start > 0.9)
    eta = datetime.now(timezone.utc) + timedelta(seconds=1)
    equal("a task with an eta answers", tasks.add.apply_async((1, 2), eta=eta).get(timeout=WAIT_SECONDS), 3)
    holds("not before that moment", datetime.now(timezone.utc) >= eta)
    equal("a task of a lost worker process runs again, redelivered",
          tasks.lose_worker_once.delay().get(timeout=2 * WAIT_SECONDS), True)
    failed = tasks.fail.delay()
    try:
        failed.get(timeout=WAIT_SECONDS)
    except ValueError as error:
        equal("a task's exception reaches the caller", error.args, ("as expected",))
    else:
        raise SystemExit("the failing task did not fail")
    equal("a chain", chain(tasks.add.s(1, 2), tasks.add.s(3))().get(timeout=WAIT_SECONDS), 6)
    equal("a group", group(tasks.add.s(i, 1) for i in range(5))().get(timeout=WAIT_SECONDS), [1, 2, 3, 4, 5])
    text = "野兎 hare " * 100_000
    equal("a large argument", tasks.word_count.delay(text).get(timeout=WAIT_SECONDS), 200_000)
    worker = hostname("tasks")
    control = tasks.app.control
    control.revoke("no-such-task")
    equal("remote control: ping", control.ping(timeout=2, destination=[worker]), [{worker: {"ok": "pong"}}])
    holds("remote control: stats",
          control.inspect(timeout=2, destination=[worker]).stats()[worker]["pool"]["max-concurrency"] == 2)


def celery_worker():
    with running("tasks", [tasks.QUEUE], processes=2):
        celery_tasks()
    tasks.app.backend.result_consumer.stop()
    with Connection(URL) as connection:
        channel = connection.default_channel
        holds("no task is left",
              until("an empty queue", lambda: channel.queue_declare(tasks.QUEUE, passive=True).message_count == 0))
        for queue in (tasks.QUEUE, tasks.app.thread_oid):  # the second one is the rpc:// backend's
            channel.queue_delete(queue)
        control, events = tasks.app.conf.control_exchange, tasks.app.conf.event_exchange
        for exchange in (tasks.QUEUE, f"{control}.pidbox", f"reply.{control}.pidbox", events):
            channel.exchange_delete(exchange)


def main():
    client("celery", f"{celery.__version__} (kombu {kombu.__version__})")
    kombu_work_queue()
    with Connection(URL, heartbeat=10) as connection:
        kombu_routing(connection)
        kombu_rpc(connection)
        kombu_confirms_and_errors(connection)
    celery_worker()
    quorum.check()


main()
