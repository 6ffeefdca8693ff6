"""pika's BlockingConnection: the common checks, and field tables that come back as they went (pika writes no floats)."""

import datetime
import decimal

import pika
from pika.exceptions import UnroutableError

import queues
from common import connect, drain, refused, take
from harness import (
    HEADER_CASES, QUIET_SECONDS, TEN, TOPIC_KEYS, TOPIC_PATTERNS, WAIT_SECONDS,
    client, equal, expected_headers, expected_keys, holds, name,
)

FIELD_TABLE = {
    "boolean": True,
    "int": -7,
    "long": 2**40,
    "negative long": -(2**40),
    "decimal": decimal.Decimal("3.14"),
    "string": "leveret, Häsin, 野兎",
    "bytes": b"\x00\xff\x80",
    "timestamp": datetime.datetime(2024, 2, 29, 12, 30, 59, tzinfo=datetime.timezone.utc),
    "void": None,
    "array": [1, "two", None, [True, -1], {"three": 3}],
    "table": {"inner": {"deep": ["a", {"b": b"c"}]}, "empty": {}},
    "empty array": [],
}


def work_queue():
    """Manual acks, a prefetch window, and redelivery after a nack and after a lost connection."""
    queue = name("work")
    first = connect()
    channel = first.channel()
    channel.confirm_delivery()
    declared = channel.queue_declare(queue, durable=True)
    equal("declare-ok names the queue", declared.method.queue, queue)
    for job in TEN:
        channel.basic_publish("", queue, job, pika.BasicProperties(delivery_mode=2))
    channel.basic_qos(prefetch_count=4)
    deliveries = channel.consume(queue, inactivity_timeout=WAIT_SECONDS)
    taken = take(deliveries, 4)
    equal("the first four jobs come in order, none redelivered",
          [(body, again) for body, again, _ in taken], [(job, False) for job in TEN[:4]])
    first.process_data_events(QUIET_SECONDS)
    equal("a full prefetch window holds the fifth back", channel.get_waiting_message_count(), 0)
    channel.basic_ack(taken[0][2])
    equal("an ack reopens the window", take(deliveries, 1)[0][:2], (TEN[4], False))
    channel.basic_nack(taken[1][2], requeue=True)
    again = take(deliveries, 1)[0]
    equal("a nacked job comes back first, redelivered", again[:2], (TEN[1], True))
    channel.basic_ack(again[2])
    equal("then the queue goes on", take(deliveries, 1)[0][:2], (TEN[5], False))
    first.close()

    second = connect()
    channel = second.channel()
    taken = take(channel.consume(queue, inactivity_timeout=WAIT_SECONDS), 8)
    equal("unacked jobs of a closed connection come back in order, redelivered, before the rest",
          [(body, again) for body, again, _ in taken],
          [(job, True) for job in TEN[2:6]] + [(job, False) for job in TEN[6:]])
    channel.basic_ack(taken[-1][2], multiple=True)
    equal("nothing is left", channel.queue_declare(queue, passive=True).method.message_count, 0)
    channel.cancel()
    channel.queue_delete(queue)
    second.close()


def topic_routing(connection):
    """* is one word, # is any number of them."""
    channel = connection.channel()
    channel.confirm_delivery()
    exchange = name("topic")
    channel.exchange_declare(exchange, "topic")
    queues = {}
    for pattern in TOPIC_PATTERNS:
        queues[pattern] = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queues[pattern], exchange, pattern)
    holds("the server names queues amq.gen-*", all(q.startswith("amq.gen-") for q in queues.values()))
    for key in TOPIC_KEYS:
        channel.basic_publish(exchange, key, key.encode())
    for pattern, queue in queues.items():
        equal(f"topic {pattern}", drain(channel, queue), expected_keys(pattern))
    channel.exchange_delete(exchange)
    channel.close()


def headers_routing(connection):
    """x-match all and any."""
    channel = connection.channel()
    channel.confirm_delivery()
    exchange = name("headers")
    channel.exchange_declare(exchange, "headers")
    for match in ("all", "any"):
        channel.queue_declare(name(match), exclusive=True)
        arguments = {"x-match": match, "format": "pdf", "type": "report"}
        channel.queue_bind(name(match), exchange, arguments=arguments)
    for case, (headers, _) in HEADER_CASES.items():
        channel.basic_publish(exchange, "", case.encode(), pika.BasicProperties(headers=headers))
    for match in ("all", "any"):
        equal(f"headers x-match {match}", drain(channel, name(match)), expected_headers(match))
    channel.exchange_delete(exchange)
    channel.close()


def confirms_and_returns(connection):
    """A mandatory message without a route is returned before it is confirmed."""
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", name("nowhere"), b"lost", mandatory=True)
    except UnroutableError as error:
        [returned] = error.messages
        equal("the return precedes the ack: 312 NO_ROUTE",
              (returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"))
        equal("a return carries the message", (returned.method.routing_key, returned.body),
              (name("nowhere"), b"lost"))
    else:
        raise SystemExit("a mandatory message without a route was not returned")
    queue = channel.queue_declare("", exclusive=True).method.queue
    for job in TEN:
        channel.basic_publish("", queue, job, mandatory=True)
    equal("confirmed messages are in the queue", drain(channel, queue), [job.decode() for job in TEN])
    channel.basic_publish("", name("nowhere"), b"dropped")
    holds("without mandatory, no route is confirmed too", channel.is_open)
    channel.close()


def direct_reply_to(connection):
    """Five requests at once; the server answers the last first."""
    server = connection.channel()
    queue = server.queue_declare("", exclusive=True).method.queue
    requester = connection.channel()
    answers = []
    requester.basic_consume(
        "amq.rabbitmq.reply-to",
        lambda _channel, _method, properties, body: answers.append((properties.correlation_id, body)),
        auto_ack=True,
    )
    for i in range(5):
        properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=f"call-{i}")
        requester.basic_publish("", queue, str(i).encode(), properties)
    requests = []
    for method, properties, body in server.consume(queue, inactivity_timeout=WAIT_SECONDS):
        holds(f"request {len(requests)} came with a reply address",
              method and properties.reply_to.startswith("amq.rabbitmq.reply-to."))
        requests.append((properties, body))
        server.basic_ack(method.delivery_tag)
        if len(requests) == 5:
            break
    for properties, body in reversed(requests):
        answer = pika.BasicProperties(correlation_id=properties.correlation_id)
        server.basic_publish("", properties.reply_to, str(int(body) ** 2).encode(), answer)
    connection.call_later(WAIT_SECONDS, lambda: answers.append("too late"))
    while len(answers) < 5:
        connection.process_data_events(time_limit=1)
    equal("each answer finds its request", answers,
          [(f"call-{i}", str(i * i).encode()) for i in (4, 3, 2, 1, 0)])
    server.cancel()
    server.close()
    requester.close()


def errors(connection):
    """Channel errors and their codes."""
    queue, exclusive = name("errors"), name("exclusive")
    channel = connection.channel()
    channel.queue_declare(queue)
    channel.queue_declare(exclusive, exclusive=True)
    refused(connection, "passive declare of a missing queue: 404", 404,
            lambda c: c.queue_declare(name("missing"), passive=True))
    refused(connection, "redeclare with other arguments: 406", 406,
            lambda c: c.queue_declare(queue, durable=True))
    refused(connection, "publish to an unknown exchange: 404", 404,
            lambda c: c.basic_publish(name("missing"), "", b""))
    refused(connection, "ack of an unknown delivery tag: 406", 406, lambda c: c.basic_ack(99))
    refused(connection, "an exchange's type cannot change: 406", 406,
            lambda c: c.exchange_declare("amq.topic", "direct", durable=True))
    refused(connection, "amq.* is reserved: 403", 403, lambda c: c.queue_declare("amq.mine"))
    other = connect()
    refused(other, "another connection's exclusive queue: 405", 405,
            lambda c: c.queue_declare(exclusive, passive=True))
    other.close()
    channel.queue_delete(queue)
    holds("a channel beside the refused ones lives on", channel.is_open)
    channel.close()


def field_tables(connection):
    """Every type of header, and every property, comes back as it went."""
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="identity", headers=FIELD_TABLE, delivery_mode=2,
        priority=5, correlation_id="c", reply_to="r", expiration="60000", message_id="m",
        timestamp=1709209859, type="t", user_id="guest", app_id="a",
    )
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"", sent)
    _, got, body = channel.basic_get(queue, auto_ack=True)
    for key, value in FIELD_TABLE.items():
        equal(f"header of type {key}", got.headers.get(key), value)
    equal("no header more or less", got.headers, FIELD_TABLE)
    equal("the thirteen properties", vars(got), vars(sent))
    equal("an empty body", body, b"")
    channel.close()


def main():
    client("pika", pika.__version__)
    work_queue()
    connection = connect()
    topic_routing(connection)
    headers_routing(connection)
    confirms_and_returns(connection)
    direct_reply_to(connection)
    errors(connection)
    field_tables(connection)
    queues.check(connection)
    connection.close()


main()
