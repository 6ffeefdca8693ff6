"""Fills a RabbitMQ, has `leveret import-from-rabbitmq` move everything into a Leveret, and compares what came with what was there.

Each message has a number as its message-id. What is expected of it is what was published: queue, exchange, routing key, body and
every property. The order in a queue is that of the numbers, but for priorities.
"""

import argparse
import base64
import collections
import decimal
import json
import datetime
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pika

QUEUES = 1_000
MESSAGES = 100_000
USERS = {"ann": ("old-password", "management"), "ben": ("pässwort :/@", "administrator,monitoring"), "zoe": ("x", "")}
VHOSTS = ["/", "shop"]

# What the two export otherwise, and why.
DIFFERENCES = {
    "users": "guest moves: it stays what it is here, with its own password",
    "global_parameters": "internal_cluster_id names the data of the RabbitMQ",
}


class Api:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        login = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
        self.base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api/"
        self.login = login

    def ask(self, method, path, body=None, login=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("authorization", "Basic " + base64.b64encode((login or self.login).encode()).decode())
        if data is not None:
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=120) as response:
            text = response.read()
        return json.loads(text) if text else None

    def wait(self):
        end = time.monotonic() + 120
        while True:
            try:
                return self.ask("GET", "whoami")
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)


def quoted(text):
    return urllib.parse.quote(text, safe="")


def queue_names():
    """Virtual host, name and arguments of each queue."""
    special = [
        ("/", "quorum", {"x-queue-type": "quorum"}),
        ("/", "quorum limited", {"x-queue-type": "quorum", "x-delivery-limit": 5, "x-max-length": 1000, "x-overflow": "reject-publish"}),
        ("/", "lazy", {"x-queue-mode": "lazy"}),
        ("/", "priorities", {"x-max-priority": 5}),
        ("/", "single", {"x-single-active-consumer": True}),
        ("/", "exactly full", {"x-max-length": 90}),
        ("/", "exactly full of bytes", {"x-max-length-bytes": 100_000_000}),
        ("/", "with ttl", {"x-message-ttl": 3_600_000, "x-expires": 7_200_000}),
        ("/", "dying", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}),
        ("/", "dead", {}),
        ("/", "returned", {"x-queue-type": "quorum"}),
        ("/", "ü/ %2F?#&", {}),
        ("shop", "quorum", {"x-queue-type": "quorum"}),
    ]
    plain = [("shop" if at % 5 == 0 else "/", f"queue-{at:04}", {}) for at in range(QUEUES - len(special))]
    return special + plain


def definitions():
    exchanges = [
        ("direct", {}), ("fanout", {}), ("topic", {"alternate-exchange": "x-fanout"}), ("headers", {}),
        ("x-consistent-hash", {}), ("x-random", {}), ("x-recent-history", {"x-recent-history-length": 5}),
    ]
    bindings = []
    for vhost in VHOSTS:
        for at in (1, 2, 3, 6, 5, 10):
            if (vhost == "shop") != (at % 5 == 0):
                continue
            to = {"vhost": vhost, "destination": f"queue-{at:04}", "destination_type": "queue"}
            for kind, _ in exchanges:
                key = str(at) if kind == "x-consistent-hash" else f"key.{at}.#"
                arguments = {"x-match": "all", "n": at, "s": "x"} if kind == "headers" else {}
                bindings.append({**to, "source": f"x-{kind}", "routing_key": key, "arguments": arguments})
        bindings.append({"vhost": vhost, "source": "x-topic", "destination": "x-internal", "destination_type": "exchange",
                         "routing_key": "audit.*", "arguments": {}})
    return {
        "vhosts": [{"name": vhost} for vhost in VHOSTS],
        "queues": [
            {"vhost": vhost, "name": name, "durable": True, "auto_delete": False, "arguments": arguments}
            for vhost, name, arguments in queue_names()
        ],
        "exchanges": [
            {"vhost": vhost, "name": f"x-{kind}", "type": kind, "durable": True, "auto_delete": False, "internal": False,
             "arguments": arguments}
            for vhost in VHOSTS for kind, arguments in exchanges
        ] + [
            {"vhost": vhost, "name": "x-internal", "type": "fanout", "durable": True, "auto_delete": False, "internal": True, "arguments": {}}
            for vhost in VHOSTS
        ],
        "bindings": bindings,
        "permissions": [
            {"user": user, "vhost": vhost, "configure": "^$", "write": "^x-|^amq", "read": ".*"} for user in USERS for vhost in VHOSTS
        ] + [{"user": "guest", "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"} for vhost in VHOSTS],
        "topic_permissions": [{"user": "ann", "vhost": "/", "exchange": "x-topic", "write": "^key\\.", "read": ".*"}],
        "policies": [
            {"vhost": "/", "name": "many", "pattern": "^queue-0", "apply-to": "queues", "priority": 1, "definition": {"max-length": 100_000}},
            {"vhost": "/", "name": "ttl", "pattern": "^queue-9", "apply-to": "all", "priority": 0, "definition": {"message-ttl": 86_400_000}},
            {"vhost": "shop", "name": "ae", "pattern": "^x-direct$", "apply-to": "exchanges", "priority": 0,
             "definition": {"alternate-exchange": "x-fanout"}},
        ],
        "parameters": [
            {"vhost": "/", "component": "operator_policy", "name": "bound",
             "value": {"pattern": ".*", "apply-to": "queues", "priority": 0, "definition": {"max-length-bytes": 10_000_000_000}}},
            {"vhost": "shop", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 5_000}},
        ],
        "global_parameters": [{"name": "cluster_name", "value": "the old one"}],
    }


def declare(rabbit):
    for user, (password, tags) in USERS.items():
        rabbit.ask("PUT", f"users/{user}", {"password": password, "tags": tags})
    rabbit.ask("POST", "definitions", definitions())


class Expected:
    """Messages of each queue, in order."""

    def __init__(self):
        self.queues = collections.defaultdict(list)
        self.count = 0

    def add(self, queue, exchange, key, properties, body):
        self.queues[queue].append((exchange, key, fingerprint(properties), body))
        self.count += 1


def fingerprint(properties):
    """All that a message's properties say."""
    names = ["content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id",
             "timestamp", "type", "user_id", "app_id", "cluster_id"]
    shown = {name: getattr(properties, name) for name in names if getattr(properties, name) is not None}
    shown["headers"] = comparable(properties.headers or {})
    return json.dumps(shown, sort_keys=True, default=str)


def comparable(value):
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def properties_of(number):
    """Properties of every kind, by the message's number."""
    its = pika.BasicProperties(message_id=str(number), delivery_mode=1 if number % 3 == 0 else 2)
    match number % 8:
        case 0:
            its.headers = {"n": number, "big": number << 33, "s": "text", "yes": True, "none": None,
                           "when": datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), "decimal": decimal.Decimal("1.25"),
                           "table": {"inner": [1, "two", {"three": 3}]}}
        case 1:
            its.content_type, its.content_encoding, its.timestamp = "application/json", "gzip", 1_600_000_000 + number
        case 2:
            its.priority, its.type, its.app_id, its.cluster_id = number % 10, "kind", "app", "cluster"
        case 3:
            its.correlation_id, its.reply_to = f"c-{number}", "answers"
        case 4:
            its.expiration = "3600000"
        case 5:
            its.user_id = "guest"
        case 6:
            its.headers = {"x-delay": 5_000, "x-deduplication-header": "d", "x-match": "any"}
        case _:
            pass
    return its


class Filler:
    """Publishes to the RabbitMQ."""

    def __init__(self, url, vhost):
        self.connection = pika.BlockingConnection(pika.URLParameters(f"{url}/{quoted(vhost)}"))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.plain = self.connection.channel()

    def publish(self, exchange, key, properties, body):
        self.plain.basic_publish(exchange, key, body, properties)

    def close(self):
        self.connection.close()


def fill(url, expected):
    """All messages; gives those that RabbitMQ itself has changed, by their message-id."""
    special = {}
    number = 0
    names = queue_names()
    each, more = divmod(MESSAGES, len(names))
    for vhost in VHOSTS:
        filler = Filler(url, vhost)
        for at, (its, name, arguments) in enumerate(names):
            if its != vhost:
                continue
            count = min(each + (1 if at < more else 0), arguments.get("x-max-length", MESSAGES))
            if name in ("dying", "dead", "returned"):
                continue
            for _ in range(count):
                properties = properties_of(number)
                body = b"" if number % 50 == 0 else f"body of {number} ".encode() * (1 + number % 7)
                if name == "lazy" and number % 40 == 0:
                    body = bytes(1_000_000 + number)
                filler.publish("", name, properties, body)
                expected.add((vhost, name), "", name, properties, body)
                number += 1
        if vhost == "/":
            number = fill_specially(filler, expected, special, number)
        filler.close()
    # What is missing because queues may not have more goes into one queue.
    filler = Filler(url, "/")
    while expected.count < MESSAGES:
        properties = properties_of(number)
        filler.publish("", "queue-0001", properties, b"more")
        expected.add(("/", "queue-0001"), "", "queue-0001", properties, b"more")
        number += 1
    filler.close()
    return special


def fill_specially(filler, expected, special, number):
    """Messages that have a history: dead ones, returned ones, ones that were routed."""
    for at in range(5):
        properties = pika.BasicProperties(message_id=str(number), delivery_mode=2, headers={"CC": ["queue-0002"], "BCC": ["queue-0003"]})
        body = f"routed {at}".encode()
        filler.publish("x-direct", "key.1.#", properties, body)
        without = pika.BasicProperties(message_id=str(number), delivery_mode=2, headers={"CC": ["queue-0002"]})
        expected.add(("/", "queue-0001"), "x-direct", "key.1.#", without, body)
        number += 1
    for at in range(10):
        properties = pika.BasicProperties(message_id=str(number), delivery_mode=2, headers={"own": at})
        filler.channel.basic_publish("", "dying", f"dead {at}".encode(), properties)
        method, _, _ = filler.channel.basic_get("dying")
        filler.channel.basic_reject(method.delivery_tag, requeue=False)
        special[str(number)] = ("dead", "dead")
        number += 1
    for at in range(3):
        properties = pika.BasicProperties(message_id=str(number), delivery_mode=2)
        filler.channel.basic_publish("", "returned", f"returned {at}".encode(), properties)
        number += 1
    ids = [str(number - 3), str(number - 2), str(number - 1)]
    held = []
    while True:
        method, properties, _ = filler.channel.basic_get("returned")
        if method is None:
            break
        held.append((properties.message_id, method.delivery_tag))
    for message_id, tag in held:
        filler.channel.basic_nack(tag, requeue=True)
    for message_id in ids:
        special[message_id] = ("returned", "returned")
    expected.count += 13
    return number


def await_messages(rabbit, url, count):
    """Waits until the RabbitMQ has so many ready messages, by what its queues themselves say."""
    end = time.monotonic() + 120
    while True:
        ready = 0
        for vhost in VHOSTS:
            connection = pika.BlockingConnection(pika.URLParameters(f"{url}/{quoted(vhost)}"))
            channel = connection.channel()
            for its, name, _ in queue_names():
                if its == vhost:
                    ready += channel.queue_declare(name, passive=True).method.message_count
            connection.close()
        if ready == count:
            return
        assert time.monotonic() < end, f"RabbitMQ has {ready} messages and not {count}"
        time.sleep(0.5)


def consume_all(url, timeout=120):
    """All messages of all queues, by queue, in order."""
    found = collections.defaultdict(list)
    for vhost in VHOSTS:
        connection = pika.BlockingConnection(pika.URLParameters(f"{url}/{quoted(vhost)}"))
        channel = connection.channel()
        names = [name for its, name, _ in queue_names() if its == vhost]
        wanted = sum(channel.queue_declare(name, passive=True).method.message_count for name in names)
        came = 0

        def note(name):
            def took(_channel, method, properties, body):
                nonlocal came
                came += 1
                found[(vhost, name)].append((method, properties, body))
            return took

        for name in names:
            channel.basic_consume(name, note(name), auto_ack=True)
        end = time.monotonic() + timeout
        while came < wanted:
            assert time.monotonic() < end, f"{came} of {wanted} messages have come"
            connection.process_data_events(time_limit=0.2)
        connection.close()
    return found


def compare_messages(found, expected, special, may_repeat):
    """What came is what was there. Gives how many came twice."""
    repeated = 0
    seen_specially = {}
    for queue in {*found, *expected.queues}:
        wanted = expected.queues.get(queue, [])
        ids = collections.Counter()
        came = []
        for method, properties, body in found.get(queue, []):
            message_id = properties.message_id
            ids[message_id] += 1
            if ids[message_id] > 1:
                repeated += 1
                continue
            if message_id in special:
                seen_specially[message_id] = (queue, method, properties, body)
                continue
            came.append((method.exchange, method.routing_key, fingerprint(properties), body))
        wanted = by_priority(queue, wanted)
        if may_repeat:
            # What was on its way when the importer was killed has gone back to its place, and came again behind others.
            came, wanted = sorted(came), sorted(wanted)
        if came != wanted:
            first = next((pair for pair in zip(came, wanted) if pair[0] != pair[1]), None)
            sys.exit(f"{queue}: {len(came)} messages and not {len(wanted)}; the first that differs: {first}")
    assert may_repeat or repeated == 0, f"{repeated} messages came twice"
    for message_id, (queue, kind) in special.items():
        assert message_id in seen_specially, f"{message_id} ({kind}) is lost"
        its, method, properties, body = seen_specially[message_id]
        assert its == ("/", queue), (its, queue)
        if kind == "dead":
            death = properties.headers["x-death"][0]
            assert (death["count"], death["queue"], death["reason"]) == (1, "dying", "rejected"), properties
            assert properties.headers["x-first-death-queue"] == "dying", properties
        else:
            assert method.redelivered and properties.headers["x-delivery-count"] >= 1, (method, properties)
    return repeated


def by_priority(queue, messages):
    """Messages in the order of their delivery; of one priority, in the order in which they came."""
    arguments = next(arguments for vhost, name, arguments in queue_names() if (vhost, name) == queue)
    if arguments.get("x-queue-type") == "quorum":
        most, unsaid = 31, 4
    else:
        most, unsaid = arguments.get("x-max-priority", 0), 0
    return sorted(messages, key=lambda message: -min(json.loads(message[2]).get("priority", unsaid), most))


def importer(args, more=()):
    command = [args.leveret, "import-from-rabbitmq", "--management", args.rabbitmq_http, "--amqp", args.rabbitmq_amqp,
               "--url", args.http, "--format", "json", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_importer(args, code=0, more=()):
    began = time.monotonic()
    process = importer(args, more)
    out, error = process.communicate(timeout=600)
    took = time.monotonic() - began
    assert process.returncode == code, f"exit code {process.returncode}\n{error}\n{out[-3000:]}"
    return json.loads(out), error, took


def things(document):
    """The lists of a document, each thing as a text, as far as both brokers have its fields."""
    lists = {}
    for key, values in document.items():
        if isinstance(values, list):
            lists[key] = {json.dumps(plain(key, value), sort_keys=True) for value in values}
    return lists


def plain(key, thing):
    thing = dict(thing)
    if key == "queues":
        # RabbitMQ 3.10 says it in the arguments alone.
        thing.pop("type", None)
    if key == "vhosts":
        thing = {"name": thing["name"]}
    return thing


def compare_definitions(before, after):
    """Lists in which something differs must be those that are known to."""
    before, after = things(before), things(after)
    told = []
    for key in sorted({*before, *after}):
        missing, extra = before.get(key, set()) - after.get(key, set()), after.get(key, set()) - before.get(key, set())
        if not missing and not extra:
            told.append(f"  {key}: {len(before[key])} the same")
            continue
        told.append(f"  {key}: {len(before.get(key, set()) & after.get(key, set()))} the same, differs: {DIFFERENCES.get(key)}")
        if key not in DIFFERENCES:
            sys.exit(f"definitions differ in {key}\n  only before: {sorted(missing)[:5]}\n  only after: {sorted(extra)[:5]}")
        for text in missing | extra:
            named = json.loads(text)["name"]
            assert named in ("guest", "internal_cluster_id"), f"{key} differs: {text}"
    print("definitions, exported again:", *told, sep="\n")


def check_logins(args, leveret):
    parts = urllib.parse.urlsplit(args.amqp)
    for user, (password, tags) in USERS.items():
        for vhost in VHOSTS:
            url = f"amqp://{quoted(user)}:{quoted(password)}@{parts.hostname}:{parts.port}/{quoted(vhost)}"
            pika.BlockingConnection(pika.URLParameters(url)).close()
        if tags:
            assert leveret.ask("GET", "whoami", login=f"{user}:{password}")["name"] == user
    try:
        leveret.ask("GET", "whoami", login="ann:another-password")
        sys.exit("another password is let in")
    except urllib.error.HTTPError as error:
        assert error.code == 401
    print(f"{len(USERS)} users log in with their old passwords")


def total(leveret):
    return leveret.ask("GET", "overview")["queue_totals"]["messages"]


def move_undisturbed(args, rabbit, leveret):
    expected = Expected()
    special = fill(args.rabbitmq_amqp, expected)
    await_messages(rabbit, args.rabbitmq_amqp, expected.count)
    before = rabbit.ask("GET", "definitions")
    rows, error, took = run_importer(args)
    print(error.strip().splitlines()[-1])
    print(f"{expected.count} messages and all definitions in {took:.1f} s, {expected.count / took:,.0f} in a second")
    assert sum(row["moved"] for row in rows) == expected.count
    assert all(row["left"] == 0 for row in rows), [row for row in rows if row["left"]]
    compare_definitions(before, leveret.ask("GET", "definitions"))
    check_logins(args, leveret)
    compare_messages(consume_all(args.amqp), expected, special, may_repeat=False)
    print(f"{expected.count} messages of {len(queue_names())} queues are what they were")


def move_and_kill(args, rabbit, leveret):
    expected = Expected()
    special = fill(args.rabbitmq_amqp, expected)
    await_messages(rabbit, args.rabbitmq_amqp, expected.count)
    kills = 0
    for share in (0.1, 0.35, 0.6):
        process = importer(args, ["--only-messages"])
        while total(leveret) < expected.count * share:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    rows, _, _ = run_importer(args, more=["--only-messages"])
    assert all(row["left"] == 0 for row in rows), [row for row in rows if row["left"]]
    repeated = compare_messages(consume_all(args.amqp), expected, special, may_repeat=True)
    print(f"killed {kills} times and gone on: none of {expected.count} messages is lost, {repeated} came twice")


def what_cannot_move(args, rabbit, leveret):
    """Streams, queues that would go, queues that others hold: they are named, and that is no success."""
    connection = pika.BlockingConnection(pika.URLParameters(args.rabbitmq_amqp + "/%2F"))
    channel = connection.channel()
    channel.queue_declare("a stream", durable=True, arguments={"x-queue-type": "stream"})
    channel.queue_declare("a guest", auto_delete=True)
    channel.queue_declare("my own", exclusive=True)
    channel.queue_declare("held", durable=True)
    for name in ("a guest", "my own", "held"):
        channel.basic_publish("", name, b"x")
    # Its message is held from the time on that the management knows it.
    channel.basic_get("held")
    end = time.monotonic() + 60
    while rabbit.ask("GET", "queues/%2F/held").get("messages_unacknowledged") != 1:
        assert time.monotonic() < end
        time.sleep(0.2)
        connection.process_data_events()
    rows, error, _ = run_importer(args, code=1)
    by_name = {row["name"]: row for row in rows}
    for name, words in {"a stream": "stream", "a guest": "auto-delete", "my own": "one connection", "held": "clients hold 1"}.items():
        assert words in by_name[name]["why"], by_name[name]
    assert by_name["held"]["left"] == 1 and "queue 'a stream' in virtual host '/' is left out" in error, error
    assert "in RabbitMQ are left:" in error, error
    connection.close()
    print("what cannot move is named:", *(f"  {row['name']}: {row['why']}" for row in rows if row["why"]), sep="\n")


def way_back(args, rabbit):
    """A shovel of the RabbitMQ takes messages out of Leveret again."""
    filler = Filler(args.amqp, "/")
    for number in range(500):
        filler.publish("", "queue-0001", pika.BasicProperties(message_id=str(number), delivery_mode=2), b"back")
    filler.close()
    value = {
        "src-protocol": "amqp091", "src-uri": args.amqp + "/%2F", "src-queue": "queue-0001", "src-delete-after": "queue-length",
        "dest-protocol": "amqp091", "dest-uri": args.rabbitmq_amqp + "/%2F", "dest-queue": "queue-0001", "ack-mode": "on-confirm",
    }
    rabbit.ask("PUT", "parameters/shovel/%2F/back", {"value": value})
    end = time.monotonic() + 60
    connection = pika.BlockingConnection(pika.URLParameters(args.rabbitmq_amqp + "/%2F"))
    while connection.channel().queue_declare("queue-0001", passive=True).method.message_count < 500:
        assert time.monotonic() < end, "the shovel does not bring them"
        time.sleep(0.2)
    connection.close()
    print("a shovel of RabbitMQ brings 500 messages back")


def main():
    parser = argparse.ArgumentParser()
    for name in ("leveret", "amqp", "http", "rabbitmq-amqp", "rabbitmq-http"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    rabbit, leveret = Api(args.rabbitmq_http), Api(args.http)
    rabbit.wait()
    declare(rabbit)
    move_undisturbed(args, rabbit, leveret)
    move_and_kill(args, rabbit, leveret)
    what_cannot_move(args, rabbit, leveret)
    way_back(args, rabbit)


main()
