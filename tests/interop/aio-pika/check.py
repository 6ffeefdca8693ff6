"""aio-pika: the common checks, large and empty bodies, and a robust connection that comes back."""

import asyncio
import hashlib
import os
from importlib.metadata import version

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import AMQPChannelError, PublishError

from harness import (
    HEADER_CASES, QUIET_SECONDS, TEN, TOPIC_KEYS, TOPIC_PATTERNS, URL, WAIT_SECONDS,
    client, equal, expected_headers, expected_keys, holds, name,
)


async def soon(awaitable):
    """The result of an awaitable, before the deadline."""
    return await asyncio.wait_for(awaitable, WAIT_SECONDS)


async def connect():
    return await aio_pika.connect(URL, timeout=WAIT_SECONDS)


async def inbox(queue, **arguments):
    """A consumer whose deliveries wait in a queue of this program."""
    messages = asyncio.Queue()
    await queue.consume(messages.put, timeout=WAIT_SECONDS, **arguments)
    return messages


async def take(messages, count):
    return [await soon(messages.get()) for _ in range(count)]


def seen(messages):
    return [(message.body, message.redelivered) for message in messages]


async def drain(queue):
    """Everything that waits in a queue, taken with basic.get."""
    bodies = []
    while message := await queue.get(no_ack=True, fail=False, timeout=WAIT_SECONDS):
        bodies.append(message.body.decode())
    return bodies


async def work_queue():
    """Manual acks, a prefetch window, and redelivery after a nack and after a lost connection."""
    first = await connect()
    channel = await first.channel()
    queue = await channel.declare_queue(name("aio-work"), durable=True)
    for job in TEN:
        await channel.default_exchange.publish(Message(job, delivery_mode=DeliveryMode.PERSISTENT), queue.name)
    await channel.set_qos(prefetch_count=4)
    messages = await inbox(queue)
    taken = await take(messages, 4)
    equal("the first four jobs come in order, none redelivered", seen(taken), [(job, False) for job in TEN[:4]])
    await asyncio.sleep(QUIET_SECONDS)
    holds("a full prefetch window holds the fifth back", messages.empty())
    await taken[0].ack()
    equal("an ack reopens the window", seen(await take(messages, 1)), [(TEN[4], False)])
    await taken[1].nack(requeue=True)
    again = await take(messages, 1)
    equal("a nacked job comes back first, redelivered", seen(again), [(TEN[1], True)])
    await again[0].ack()
    equal("then the queue goes on", seen(await take(messages, 1)), [(TEN[5], False)])
    await first.close()

    second = await connect()
    channel = await second.channel()
    queue = await channel.get_queue(name("aio-work"))
    taken = await take(await inbox(queue), 8)
    equal("unacked jobs of a closed connection come back in order, redelivered, before the rest", seen(taken),
          [(job, True) for job in TEN[2:6]] + [(job, False) for job in TEN[6:]])
    await taken[-1].ack(multiple=True)
    left = await channel.declare_queue(queue.name, passive=True)
    equal("nothing is left", left.declaration_result.message_count, 0)
    await queue.delete(if_unused=False)
    await second.close()


async def topic_routing(connection):
    """* is one word, # is any number of them."""
    channel = await connection.channel()
    exchange = await channel.declare_exchange(name("aio-topic"), ExchangeType.TOPIC)
    queues = {}
    for pattern in TOPIC_PATTERNS:
        queues[pattern] = await channel.declare_queue(exclusive=True)
        await queues[pattern].bind(exchange, pattern)
    for key in TOPIC_KEYS:
        await exchange.publish(Message(key.encode()), key)
    for pattern, queue in queues.items():
        equal(f"topic {pattern}", await drain(queue), expected_keys(pattern))
    await queues["lazy.#"].unbind(exchange, "lazy.#")
    await exchange.publish(Message(b""), "lazy")
    equal("an unbound queue gets nothing", await drain(queues["lazy.#"]), [])
    await exchange.delete()
    await channel.close()


async def headers_routing(connection):
    """x-match all and any."""
    channel = await connection.channel()
    exchange = await channel.declare_exchange(name("aio-headers"), ExchangeType.HEADERS)
    queues = {}
    for match in ("all", "any"):
        queues[match] = await channel.declare_queue(exclusive=True)
        await queues[match].bind(exchange, arguments={"x-match": match, "format": "pdf", "type": "report"})
    for case, (headers, _) in HEADER_CASES.items():
        await exchange.publish(Message(case.encode(), headers=headers), "", mandatory=False)
    for match, queue in queues.items():
        equal(f"headers x-match {match}", await drain(queue), expected_headers(match))
    await exchange.delete()
    await channel.close()


async def confirms_and_returns(connection):
    """A mandatory message without a route is returned before it is confirmed."""
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    queue = await channel.declare_queue(exclusive=True)
    publish = channel.default_exchange.publish
    try:
        await soon(publish(Message(b"lost"), name("nowhere")))
    except PublishError as error:
        returned = error.message
        equal("the return precedes the ack: 312 NO_ROUTE",
              (returned.delivery.reply_code, returned.delivery.reply_text), (312, "NO_ROUTE"))
        equal("a return carries the message", (returned.delivery.routing_key, returned.body),
              (name("nowhere"), b"lost"))
    else:
        raise SystemExit("a mandatory message without a route was not returned")
    acks = await soon(asyncio.gather(*(publish(Message(b"%d" % i), queue.name) for i in range(50))))
    equal("fifty publishes in flight are confirmed", [type(ack).__name__ for ack in acks], ["Ack"] * 50)
    equal("and stand in the queue in order", await drain(queue), [str(i) for i in range(50)])
    await channel.close()


async def direct_reply_to(connection):
    """Five requests at once; the server answers the last first."""
    server, requester = await connection.channel(), await connection.channel(publisher_confirms=False)
    queue = await server.declare_queue(exclusive=True)
    requests = await inbox(queue)
    reply_to = await requester.get_queue("amq.rabbitmq.reply-to", ensure=False)
    answers = await inbox(reply_to, no_ack=True)
    for i in range(5):
        request = Message(b"%d" % i, correlation_id=f"call-{i}", reply_to="amq.rabbitmq.reply-to")
        await requester.default_exchange.publish(request, queue.name, mandatory=False)
    for request in reversed(await take(requests, 5)):
        holds(f"{request.correlation_id} came with a reply address",
              request.reply_to.startswith("amq.rabbitmq.reply-to."))
        answer = Message(b"%d" % int(request.body) ** 2, correlation_id=request.correlation_id)
        await server.default_exchange.publish(answer, request.reply_to, mandatory=False)
        await request.ack()
    equal("each answer finds its request",
          [(answer.correlation_id, answer.body) for answer in await take(answers, 5)],
          [(f"call-{i}", b"%d" % (i * i)) for i in (4, 3, 2, 1, 0)])
    await server.close()
    await requester.close()


async def refused(connection, what, error_name, action):
    """An action that costs its channel, with this error; the connection lives on."""
    channel = await connection.channel()
    try:
        await soon(action(channel))
    except AMQPChannelError as error:
        equal(what, type(error).__name__, error_name)
    else:
        raise SystemExit(f"not refused: {what}")


async def errors(connection):
    """Channel errors and their codes."""
    channel = await connection.channel()
    queue = await channel.declare_queue(name("aio-errors"))
    exclusive = await channel.declare_queue(name("aio-exclusive"), exclusive=True)

    async def publish_to_missing(refused_channel):
        exchange = await refused_channel.get_exchange(name("missing"), ensure=False)
        await exchange.publish(Message(b""), "")

    await refused(connection, "passive declare of a missing queue: 404", "ChannelNotFoundEntity",
                  lambda c: c.declare_queue(name("missing"), passive=True))
    await refused(connection, "redeclare with other arguments: 406", "ChannelPreconditionFailed",
                  lambda c: c.declare_queue(queue.name, durable=True))
    await refused(connection, "publish to an unknown exchange: 404", "ChannelNotFoundEntity", publish_to_missing)
    other = await connect()
    await refused(other, "another connection's exclusive queue: 405", "ChannelLockedResource",
                  lambda c: c.declare_queue(exclusive.name, passive=True))
    await other.close()
    await queue.delete()
    fresh = await connection.channel()
    holds("a new channel works after the errors", await fresh.declare_queue(exclusive=True))
    await fresh.close()
    await channel.close()


async def bodies(connection):
    """Bodies of every number of frames, from none at all to five mebibytes."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    for size in (0, 1, 131_063, 131_064, 131_065, 262_128, 5 * 1024 * 1024):
        body = os.urandom(size)
        await soon(channel.default_exchange.publish(Message(body), queue.name))
        got = await queue.get(no_ack=True, timeout=WAIT_SECONDS)
        equal(f"a body of {size} bytes comes back whole",
              (len(got.body), hashlib.sha256(got.body).digest()), (size, hashlib.sha256(body).digest()))
    await channel.close()


async def robust_connection():
    """A robust connection declares and consumes again after its connection is gone."""
    robust = await aio_pika.connect_robust(URL, timeout=WAIT_SECONDS, reconnect_interval=0.1)
    channel = await robust.channel()
    await channel.set_qos(prefetch_count=10)
    exchange = await channel.declare_exchange(name("aio-robust"), ExchangeType.FANOUT, auto_delete=True)
    queue = await channel.declare_queue(name("aio-robust"), exclusive=True)
    await queue.bind(exchange)
    messages = await inbox(queue)
    await exchange.publish(Message(b"before"), "")
    [before] = await take(messages, 1)
    equal("a robust connection delivers", before.body, b"before")
    await before.ack()
    reconnected = asyncio.Event()
    robust.reconnect_callbacks.add(lambda *_: reconnected.set())
    await robust.transport.connection.close(ConnectionError("lost on purpose"))
    await soon(reconnected.wait())
    await soon(exchange.publish(Message(b"after"), ""))
    [after] = await take(messages, 1)
    equal("and again once it came back: exchange, queue, binding and consumer", after.body, b"after")
    await after.ack()
    await robust.close()


async def main():
    client("aio-pika", version("aio-pika"))
    await work_queue()
    connection = await connect()
    await topic_routing(connection)
    await headers_routing(connection)
    await confirms_and_returns(connection)
    await direct_reply_to(connection)
    await errors(connection)
    await bodies(connection)
    await connection.close()
    await robust_connection()


asyncio.run(main())
