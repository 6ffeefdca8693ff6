"""py-amqp, the library below kombu: the common checks, AMQPLAIN, transactions and a broker's cancel."""

import socket
from collections import deque
from urllib.parse import unquote, urlsplit

import amqp
from amqp import Message
from amqp.exceptions import AccessRefused, AMQPError

from harness import (
    HEADER_CASES, QUIET_SECONDS, TEN, TOPIC_KEYS, TOPIC_PATTERNS, URL, WAIT_SECONDS,
    client, equal, expected_headers, expected_keys, holds, name,
)


def connect(**options):
    """A connection; py-amqp logs in with AMQPLAIN unless it is told otherwise."""
    url = urlsplit(URL)
    options = {"userid": unquote(url.username), "password": unquote(url.password), **options}
    connection = amqp.Connection(f"{url.hostname}:{url.port or 5672}", virtual_host=unquote(url.path[1:]) or "/",
                                 connect_timeout=WAIT_SECONDS, read_timeout=WAIT_SECONDS, **options)
    connection.connect()
    return connection


def pump(connection, what, done):
    """Handle what the broker sends until done() is true."""
    try:
        while not done():
            connection.drain_events(timeout=WAIT_SECONDS)
    except socket.timeout:
        raise SystemExit(f"waited {WAIT_SECONDS} s in vain for {what}") from None


def take(connection, inbox, count):
    pump(connection, f"{count} deliveries", lambda: len(inbox) >= count)
    return [inbox.popleft() for _ in range(count)]


def seen(messages):
    return [(bytes(message.body), message.delivery_info["redelivered"]) for message in messages]


def drain(channel, queue):
    """Everything that waits in a queue, taken with basic.get."""
    bodies = []
    while message := channel.basic_get(queue, no_ack=True):
        bodies.append(message.body)
    return bodies


def work_queue():
    """Manual acks, a prefetch window, and redelivery after a nack and after a lost connection."""
    queue = name("py-amqp-work")
    first = connect(confirm_publish=True)
    channel = first.channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    for job in TEN:
        channel.basic_publish(Message(job, delivery_mode=2), routing_key=queue)
    channel.basic_qos(0, 4, False)
    inbox = deque()
    channel.basic_consume(queue, callback=inbox.append)
    taken = take(first, inbox, 4)
    equal("the first four jobs come in order, none redelivered", seen(taken), [(job, False) for job in TEN[:4]])
    try:
        first.drain_events(timeout=QUIET_SECONDS)
    except socket.timeout:
        pass
    equal("a full prefetch window holds the fifth back", seen(inbox), [])
    channel.basic_ack(taken[0].delivery_tag)
    equal("an ack reopens the window", seen(take(first, inbox, 1)), [(TEN[4], False)])
    channel.basic_reject(taken[1].delivery_tag, requeue=True)
    [again] = take(first, inbox, 1)
    equal("a rejected job comes back first, redelivered", seen([again]), [(TEN[1], True)])
    channel.basic_ack(again.delivery_tag)
    equal("then the queue goes on", seen(take(first, inbox, 1)), [(TEN[5], False)])
    first.sock.shutdown(socket.SHUT_RDWR)  # a crash, not a close: the broker must notice by itself
    first.collect()

    second = connect()
    channel = second.channel()
    channel.basic_consume(queue, consumer_tag="second", callback=inbox.append)
    taken = take(second, inbox, 8)
    order = sorted(seen(taken))  # the broker may serve this consumer before it has seen the first one end
    equal("no job is lost with a lost socket, and its unacked jobs are redelivered", order,
          [(job, True) for job in TEN[2:6]] + [(job, False) for job in TEN[6:]])
    channel.basic_ack(taken[-1].delivery_tag, multiple=True)
    equal("nothing is left", channel.queue_declare(queue, passive=True).message_count, 0)
    channel.basic_cancel("second")
    equal("queue.delete counts the messages it drops", channel.queue_delete(queue), 0)
    second.close()


def topic_routing(connection):
    """* is one word, # is any number of them."""
    channel = connection.channel()
    exchange = name("py-amqp-topic")
    channel.exchange_declare(exchange, "topic", auto_delete=False)
    queues = {}
    for pattern in TOPIC_PATTERNS:
        queues[pattern] = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queues[pattern], exchange, pattern)
    for key in TOPIC_KEYS:
        channel.basic_publish(Message(key), exchange, key)
    for pattern, queue in queues.items():
        equal(f"topic {pattern}", drain(channel, queue), expected_keys(pattern))
    channel.exchange_delete(exchange)
    channel.close()


def headers_routing(connection):
    """x-match all and any."""
    channel = connection.channel()
    exchange = name("py-amqp-headers")
    channel.exchange_declare(exchange, "headers", auto_delete=False)
    queues = {}
    for match in ("all", "any"):
        queues[match] = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queues[match], exchange,
                           arguments={"x-match": match, "format": "pdf", "type": "report"})
    for case, (headers, _) in HEADER_CASES.items():
        channel.basic_publish(Message(case, application_headers=headers), exchange)
    for match, queue in queues.items():
        equal(f"headers x-match {match}", drain(channel, queue), expected_headers(match))
    channel.exchange_delete(exchange)
    channel.close()


def confirms_and_returns(connection):
    """A mandatory message without a route is returned before it is confirmed."""
    channel = connection.channel()
    channel.confirm_select()
    order = []
    channel.events["basic_return"].add(
        lambda error, exchange, key, message: order.append(("return", error.reply_code, key, message.body)))
    channel.events["basic_ack"].add(lambda tag, multiple: order.append(("ack", tag)))
    channel.basic_publish(Message("lost"), routing_key=name("nowhere"), mandatory=True)
    pump(connection, "an ack", lambda: ("ack", 1) in order)
    equal("the return precedes the ack: 312 NO_ROUTE", order,
          [("return", 312, name("nowhere"), "lost"), ("ack", 1)])
    channel.basic_publish(Message("dropped"), routing_key=name("nowhere"))
    pump(connection, "an ack", lambda: ("ack", 2) in order)
    equal("without mandatory, no route is confirmed too", order[2:], [("ack", 2)])
    channel.close()


def direct_reply_to(connection):
    """Five requests at once; the server answers the last first."""
    server, requester = connection.channel(), connection.channel()
    queue = server.queue_declare(exclusive=True).queue
    requests, answers = deque(), deque()
    server.basic_consume(queue, callback=requests.append, no_ack=True)
    requester.basic_consume("amq.rabbitmq.reply-to", callback=answers.append, no_ack=True)
    for i in range(5):
        request = Message(str(i), reply_to="amq.rabbitmq.reply-to", correlation_id=f"call-{i}")
        requester.basic_publish(request, routing_key=queue)
    requests = take(connection, requests, 5)
    holds("the requests came with reply addresses",
          all(request.reply_to.startswith("amq.rabbitmq.reply-to.") for request in requests))
    for request in reversed(requests):
        answer = Message(str(int(request.body) ** 2), correlation_id=request.correlation_id)
        server.basic_publish(answer, routing_key=request.reply_to)
    equal("each answer finds its request",
          [(answer.correlation_id, answer.body) for answer in take(connection, answers, 5)],
          [(f"call-{i}", str(i * i)) for i in (4, 3, 2, 1, 0)])
    server.close()
    requester.close()


def refused(connection, what, code, action):
    """An action that costs its channel, with this reply code; the connection lives on."""
    channel = connection.channel()
    try:
        action(channel)
        pump(connection, what, lambda: False)
    except AMQPError as error:
        equal(what, error.reply_code, code)
    else:
        raise SystemExit(f"not refused: {what}")


def errors(connection):
    """Channel errors and their codes."""
    channel = connection.channel()
    queue, exclusive = name("py-amqp-errors"), name("py-amqp-exclusive")
    channel.queue_declare(queue, auto_delete=False)
    channel.queue_declare(exclusive, exclusive=True)
    refused(connection, "passive declare of a missing queue: 404", 404,
            lambda c: c.queue_declare(name("missing"), passive=True))
    refused(connection, "redeclare with other arguments: 406", 406,
            lambda c: c.queue_declare(queue, durable=True, auto_delete=False))
    refused(connection, "publish to an unknown exchange: 404", 404,
            lambda c: c.basic_publish(Message(""), name("missing")))
    refused(connection, "bind to a missing queue: 404", 404,
            lambda c: c.queue_bind(name("missing"), "amq.topic", "x"))
    other = connect()
    refused(other, "another connection's exclusive queue: 405", 405,
            lambda c: c.basic_consume(exclusive))
    other.close()
    channel.queue_delete(queue)
    holds("a channel beside the refused ones lives on", channel.is_open)
    channel.close()
    try:
        connect(password="wrong")
    except AccessRefused as error:
        equal("a wrong password is refused: 403", error.reply_code, 403)
    else:
        raise SystemExit("a wrong password was let in")


def transactions(connection):
    """What a transaction publishes is there after its commit, and not after its rollback."""
    channel = connection.channel()
    queue = channel.queue_declare(exclusive=True).queue
    channel.tx_select()
    channel.basic_publish(Message("rolled back"), routing_key=queue)
    channel.tx_rollback()
    channel.basic_publish(Message("committed"), routing_key=queue)
    equal("before the commit nothing is there", channel.queue_declare(queue, passive=True).message_count, 0)
    channel.tx_commit()
    equal("after it what was not rolled back is", drain(channel, queue), ["committed"])
    channel.close()


def broker_cancel(connection):
    """A consumer is told that its queue is gone."""
    channel = connection.channel()
    queue = channel.queue_declare(exclusive=True).queue
    cancelled = []
    channel.basic_consume(queue, consumer_tag="doomed", callback=print, on_cancel=cancelled.append)
    connection.channel().queue_delete(queue)
    pump(connection, "basic.cancel", lambda: cancelled)
    equal("deleting a queue cancels its consumer", cancelled, ["doomed"])
    channel.close()


def main():
    client("py-amqp", amqp.__version__)
    work_queue()
    connection = connect(heartbeat=10)
    equal("the heartbeat is negotiated", connection.heartbeat, 10)
    topic_routing(connection)
    headers_routing(connection)
    confirms_and_returns(connection)
    direct_reply_to(connection)
    errors(connection)
    transactions(connection)
    broker_cancel(connection)
    connection.close()
    plain = connect(login_method="PLAIN")
    holds("PLAIN logs in too", plain.connected)
    plain.close()


main()
