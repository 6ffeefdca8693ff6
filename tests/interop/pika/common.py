"""What pika's programs share."""

import ssl

import pika
from pika.exceptions import ChannelClosedByBroker

from harness import TLS_CA, TLS_CERT, TLS_KEY, URL, WAIT_SECONDS, equal


def connect():
    """A connection that gives up instead of hanging."""
    parameters = pika.URLParameters(URL)
    if TLS_CA:
        context = ssl.create_default_context(cafile=TLS_CA)
        if TLS_CERT:
            context.load_cert_chain(TLS_CERT, TLS_KEY)
        parameters.ssl_options = pika.SSLOptions(context, "localhost")
    parameters.socket_timeout = parameters.blocked_connection_timeout = WAIT_SECONDS
    return pika.BlockingConnection(parameters)


def take(deliveries, count):
    """The next deliveries of a consume() generator, as (body, redelivered, tag)."""
    taken = []
    for method, _, body in deliveries:
        if method is None:
            raise SystemExit(f"only {len(taken)} of {count} deliveries came")
        taken.append((body, method.redelivered, method.delivery_tag))
        if len(taken) == count:
            return taken


def drain(channel, queue):
    """Everything that waits in a queue, taken with basic.get."""
    bodies = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body.decode())


def refused(connection, what, code, action):
    """An action that costs its channel, with this reply code; the connection lives on."""
    channel = connection.channel()
    try:
        action(channel)
        channel.queue_declare("", exclusive=True, auto_delete=True)  # a publish is refused later
    except ChannelClosedByBroker as error:
        equal(what, error.reply_code, code)
    else:
        raise SystemExit(f"not refused: {what}")
