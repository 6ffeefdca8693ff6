"""What queues do with messages by themselves: expiry, dead letters, limits, priorities, delays, consumer timeouts."""

import time

import pika
from pika.exceptions import NackError

from common import connect, drain, refused
from harness import WAIT_SECONDS, equal, holds, name


def check(connection):
    priorities(connection)
    expiry(connection)
    dead_letters(connection)
    reject_publish(connection)
    delivery_limit(connection)
    delayed_exchange(connection)
    delays_of_any_exchange(connection)
    consumer_timeout()


def publish(channel, queue, body, **properties):
    channel.basic_publish("", queue, body.encode(), pika.BasicProperties(**properties))


def confirming(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    return channel


def deaths(properties):
    """The entries of x-death, without the time."""
    return [{key: value for key, value in death.items() if key != "time"} for death in properties.headers["x-death"]]


def next_delivery(channel, queue):
    """The next delivery of a queue, acknowledged, before the deadline."""
    for method, properties, body in channel.consume(queue, inactivity_timeout=WAIT_SECONDS):
        if method is None:
            raise SystemExit(f"nothing came from {queue}")
        channel.basic_ack(method.delivery_tag)
        channel.cancel()
        return method, properties, body.decode()


def priorities(connection):
    """x-max-priority: the higher first, in order within one; what is above the maximum counts as the maximum."""
    channel = confirming(connection)
    queue = name("priorities")
    channel.queue_declare(queue, exclusive=True, arguments={"x-max-priority": 3})
    for body, priority in (("none", None), ("one", 1), ("three", 3), ("nine", 9), ("two", 2), ("zero", 0)):
        publish(channel, queue, body, priority=priority)
    equal("the higher priority first", drain(channel, queue), ["three", "nine", "two", "one", "none", "zero"])
    channel.close()


def expiry(connection):
    """Message TTL of the queue, and a shorter one of the message; dead letters of what expired."""
    channel = confirming(connection)
    dead, mortal = name("expired"), name("mortal")
    channel.queue_declare(dead, exclusive=True)
    channel.queue_declare(mortal, exclusive=True, arguments={
        "x-message-ttl": 600, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    for expiration in (None, "60000", "100"):
        start = time.monotonic()
        publish(channel, mortal, "mortal", expiration=expiration)
        _, properties, _ = next_delivery(channel, dead)
        holds(f"a message expires when its time has come, expiration {expiration}",
              time.monotonic() - start >= (0.099 if expiration == "100" else 0.599))
        original = {"original-expiration": expiration} if expiration else {}
        equal(f"what expired says where and what of, expiration {expiration}", deaths(properties), [{
            **original, "count": 1, "reason": "expired", "queue": mortal, "exchange": "", "routing-keys": [mortal]}])
        equal(f"and expires no more, expiration {expiration}", properties.expiration, None)
    equal("an expired message is gone from its queue", drain(channel, mortal), [])
    channel.close()


def dead_letters(connection):
    """Rejected messages and those pushed out of a full queue go to a dead letter exchange, with all their deaths."""
    channel = confirming(connection)
    exchange, dead, short = name("dlx"), name("dead"), name("short")
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.queue_declare(dead, exclusive=True)
    channel.queue_bind(dead, exchange)
    channel.queue_declare(short, exclusive=True, arguments={"x-max-length": 2, "x-dead-letter-exchange": exchange})
    for body in ("one", "two", "three"):
        publish(channel, short, body)
    method, properties, body = next_delivery(channel, dead)
    equal("the oldest leaves a full queue", (body, deaths(properties)), ("one", [
        {"count": 1, "reason": "maxlen", "queue": short, "exchange": "", "routing-keys": [short]}]))
    equal("it keeps its routing key and goes by the dead letter exchange",
          (method.exchange, method.routing_key), (exchange, short))
    delivery, _, _ = channel.basic_get(short)
    channel.basic_reject(delivery.delivery_tag, requeue=False)
    _, properties, body = next_delivery(channel, dead)
    equal("a rejected message is dead", (body, deaths(properties)[0]["reason"]), ("two", "rejected"))
    equal("headers name its first death",
          [properties.headers[f"x-first-death-{what}"] for what in ("reason", "queue", "exchange")],
          ["rejected", short, ""])
    equal("the rest stays", drain(channel, short), ["three"])
    channel.close()


def reject_publish(connection):
    """A full queue that says so nacks, until there is room."""
    channel = confirming(connection)
    queue = name("full")
    channel.queue_declare(queue, exclusive=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    for body in ("one", "two"):
        publish(channel, queue, body)
    try:
        publish(channel, queue, "three")
    except NackError as error:
        equal("a full queue nacks a publish, and does not return it", error.messages, [])
    else:
        raise SystemExit("a publish to a full queue was not nacked")
    channel.basic_get(queue, auto_ack=True)
    publish(channel, queue, "four")
    equal("and takes one when there is room", drain(channel, queue), ["two", "four"])
    channel.close()


def delivery_limit(connection):
    """A quorum queue counts deliveries and sets aside what failed too often."""
    channel = confirming(connection)
    dead, queue = name("poison"), name("quorum")
    channel.queue_declare(dead, exclusive=True)
    channel.queue_declare(queue, durable=True, arguments={
        "x-queue-type": "quorum", "x-delivery-limit": 2,
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    publish(channel, queue, "poison", delivery_mode=2)
    counts = []
    for method, properties, _ in channel.consume(queue, inactivity_timeout=WAIT_SECONDS):
        if method is None:
            raise SystemExit(f"only {len(counts)} deliveries came")
        counts.append((properties.headers or {}).get("x-delivery-count", 0))
        channel.basic_reject(method.delivery_tag, requeue=True)
        if len(counts) == 3:
            break
    channel.cancel()
    equal("deliveries are counted", counts, [0, 1, 2])
    _, properties, _ = next_delivery(channel, dead)
    equal("a message that failed more often than the limit is dead", deaths(properties), [
        {"count": 1, "reason": "delivery_limit", "queue": queue, "exchange": "", "routing-keys": [queue]}])
    channel.queue_delete(queue)
    channel.close()


def delayed_exchange(connection):
    """The exchange of RabbitMQ's delayed message plugin, as its users declare it."""
    channel = confirming(connection)
    exchange, queue = name("delayed"), name("delayed")
    channel.exchange_declare(exchange, "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, exchange, "jobs")
    delays = {"last": 1500, "middle": 1000, "first": 500, "now": None}
    start = {}
    for body, delay in delays.items():
        start[body] = time.monotonic()
        headers = {"x-delay": delay, "kept": body} if delay else {"kept": body}
        channel.basic_publish(exchange, "jobs", body.encode(), pika.BasicProperties(headers=headers))
    channel.basic_publish(exchange, "other", b"no route", pika.BasicProperties(headers={"x-delay": 100}))
    came = []
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=WAIT_SECONDS):
        if method is None:
            raise SystemExit(f"only {came} came")
        body = body.decode()
        holds(f"not before its time: {body}", time.monotonic() - start[body] >= (delays[body] or 0) / 1000 - 0.001)
        came.append((body, properties.headers, method.exchange, method.routing_key))
        if len(came) == len(delays):
            break
    channel.cancel()
    # the plugin leaves the delay in the message, negated: it waited
    equal("delayed messages come in the order of their times, with the delay negated", came, [
        ("now", {"kept": "now"}, exchange, "jobs"), ("first", {"x-delay": -500, "kept": "first"}, exchange, "jobs"),
        ("middle", {"x-delay": -1000, "kept": "middle"}, exchange, "jobs"),
        ("last", {"x-delay": -1500, "kept": "last"}, exchange, "jobs")])
    refused(connection, "a delayed exchange needs the type that it stands for: 406", 406,
            lambda c: c.exchange_declare(name("untyped"), "x-delayed-message"))
    channel.exchange_delete(exchange)
    channel.close()


def delays_of_any_exchange(connection):
    """Leveret's own: x-delay and x-deliver-at work without a special exchange."""
    channel = confirming(connection)
    queue = channel.queue_declare("", exclusive=True).method.queue
    for header, value in (("x-delay", 300), ("x-deliver-at", int(time.time() * 1000) + 1300)):
        start = time.time()
        due = value / 1000 if header == "x-deliver-at" else start + value / 1000
        publish(channel, queue, header, headers={header: value})
        equal(f"confirmed, and not yet there: {header}", drain(channel, queue), [])
        _, _, body = next_delivery(channel, queue)
        equal(f"delivered by the default exchange, and not before its time: {header}",
              (body, time.time() >= due - 0.001), (header, True))
    channel.close()


class Holder:
    """A consumer, on a channel of its own, that does not acknowledge what it gets."""

    TIMEOUT_MS = 1500

    def __init__(self, connection, queue):
        self.connection, self.queue, self.tag, self.since, self.cancelled = connection, queue, None, None, []
        self.channel = connection.channel()
        self.channel.queue_declare(queue, durable=True, arguments={
            "x-queue-type": "quorum", "x-consumer-timeout": self.TIMEOUT_MS})
        self.channel.add_on_cancel_callback(lambda frame: self.cancelled.append(frame.method.consumer_tag))
        self.consumer = self.channel.basic_consume(queue, self.hold)

    def hold(self, _channel, method, _properties, _body):
        self.tag, self.since = method.delivery_tag, time.monotonic()

    def wait_for_delivery(self):
        end = time.monotonic() + WAIT_SECONDS
        while self.tag is None and time.monotonic() < end:
            self.connection.process_data_events(time_limit=0.1)
        holds("a message is held", self.tag)


def consumer_timeout():
    """A consumer that holds a message for too long is cancelled; one that asks for more time is not."""
    connection = connect()
    admin = confirming(connection)
    slow, busy = Holder(connection, name("slow")), Holder(connection, name("busy"))
    for holder in (busy, slow):  # the busy one takes its message first, so that its time would be up first
        publish(admin, holder.queue, "long job", delivery_mode=2)
        holder.wait_for_delivery()
    end = time.monotonic() + WAIT_SECONDS
    while not slow.cancelled and time.monotonic() < end:
        busy.channel.basic_publish("", f"amq.renew.{busy.tag}", b"")
        connection.process_data_events(time_limit=0.2)
    equal("a consumer that holds a message for too long is cancelled", slow.cancelled, [slow.consumer])
    holds("not before its time", time.monotonic() - slow.since >= Holder.TIMEOUT_MS / 1000 - 0.001)
    method, _, _ = admin.basic_get(slow.queue, auto_ack=True)
    holds("its message is back, redelivered", method and method.redelivered)
    equal("a consumer that asks for more time keeps its message",
          (busy.cancelled, admin.queue_declare(busy.queue, passive=True).method.consumer_count), ([], 1))
    busy.channel.basic_ack(busy.tag)
    busy.channel.close()  # what it had not acknowledged would be ready again
    equal("and may acknowledge it late", admin.queue_delete(busy.queue).method.message_count, 0)
    admin.queue_delete(slow.queue)
    connection.close()
