"""Asks the same of RabbitMQ and of Leveret over HTTP, and compares status, kinds and values of the answers field by field.

Each step of the script is a request to both. A difference is one line: the step's address, the field, and what differs:

    GET /api/queues/%2F/jobs  garbage_collection                missing
    GET /api/overview         listeners[].socket_opts.nodelay   missing
    PUT /api/users/ann                                          status 201, ours 204

Fields that only we have are told in the summary and are no difference. Values are compared where both can be equal.
"""

import argparse
import base64
import json
import re
import sys
import time
import urllib.error
import urllib.request

import pika

Q = "%2F"

# Names of fields whose values depend on the machine, the moment or the program.
VARY = {
    "node", "leader", "members", "online", "name_of_node", "memory", "reductions", "idle_since", "rate", "port", "host", "peer_port",
    "connected_at", "password_hash", "hashing_algorithm", "cluster_name", "rabbitmq_version", "rabbit_version", "product_version",
    "product_name", "management_version", "erlang_version", "erlang_full_version", "uptime", "os_pid", "fd_used", "fd_total",
    "sockets_used", "sockets_total", "mem_used", "mem_limit", "disk_free", "disk_free_limit", "proc_used", "proc_total", "db_dir",
    "processors", "run_queue", "net_ticktime", "original_cluster_name", "recv_oct", "send_oct", "recv_cnt", "send_cnt", "send_pend",
    "message_bytes", "message_bytes_ram", "message_bytes_ready", "message_bytes_persistent", "consumer_tag", "channel_max", "ok",
    "messages_ram", "messages_ready_ram", "messages_unacknowledged_ram", "ip_address", "ip", "cowboy_opts", "timeout", "frame_max",
    "user_who_performed_action", "name_of_connection", "connection_name", "explanation", "reason", "ssl_opts", "mem_calculation_strategy",
    "user_provided_name", "consumer_capacity", "consumer_utilisation", "release_series_support_status", "log_files", "config_files",
    "message_bytes_unacknowledged", "desc", "doc_url", "description", "ports", "missing", "properties_key", "enabled_plugins",
    "connection_created", "channel_created", "queue_declared", "queue_created", "connection_closed", "channel_closed", "queue_deleted",
}
# Lists whose members are of one kind: the first ones stand for all.
ALIKE = {"exchange_types", "applications", "auth_mechanisms", "listeners", "contexts"}


HEAD = """\
# What RabbitMQ 3.10 answers otherwise than Leveret. tests/management/run fails if something differs that is not here, or something here
# does not differ any more; with --write it writes this file anew. What is left on purpose:
# - what Erlang's machine has (reductions, garbage_collection, backing_queue_status, message_stats.disk_*) is not there;
# - errors whose reason is a list in Erlang's words are texts; where RabbitMQ 3.10 answers 500 or 400 for what is not there, 404;
# - what came and went in the whole broker is for who sees everything;
# - messages_persistent counts all messages of durable queues;
# - an empty set of properties is an object, as one that is not empty; a virtual host that is set again keeps what is not said;
# - the cluster's internal id and the flags of features are those of another program.
"""


class Api:
    def __init__(self, base):
        self.base = base

    def ask(self, method, path, body=None, user="guest:guest"):
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        request = urllib.request.Request(self.base + path, data=data, method=method)
        if user:
            request.add_header("authorization", "Basic " + base64.b64encode(user.encode()).decode())
        if data is not None:
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(alike(text.decode())) if text else None
        except ValueError:
            return status, text.decode(errors="replace")


def alike(text):
    """Addresses of clients and names of nodes as neither broker has them."""
    text = re.sub(r"127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+", "client -> broker", text)
    return re.sub(r"(compare|leveret)@[-\w.]+", "node@host", text)


def kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]


class Comparison:
    def __init__(self):
        self.differences, self.equal, self.extra, self.requests = [], 0, set(), 0

    def note(self, step, field, what):
        line = f"{step}  {field}  {what}" if field else f"{step}  {what}"
        if line not in self.differences:
            self.differences.append(line)

    def values(self, step, field, theirs, ours):
        name = field.split(".")[-1].replace("[]", "")
        if kind(theirs) != kind(ours):
            self.note(step, field, f"{kind(theirs)}, ours {kind(ours)}")
        elif isinstance(theirs, dict):
            for key in theirs:
                inner = f"{field}.{key}" if field else key
                if key not in ours:
                    self.note(step, inner, "missing")
                else:
                    self.values(step, inner, theirs[key], ours[key])
            self.extra.update(f"{field}.{key}".lstrip(".") for key in ours if key not in theirs)
        elif isinstance(theirs, list):
            self.lists(step, field, name, theirs, ours)
        elif name in VARY or name.endswith("_name") or theirs == ours:
            self.equal += 1
        else:
            self.note(step, field, f"{theirs!r}, ours {ours!r}")

    def lists(self, step, field, name, theirs, ours):
        if name in VARY:
            self.equal += 1
            return
        if name in ALIKE:
            theirs, ours = theirs[:1], ours[:1]
        if len(theirs) != len(ours):
            self.note(step, field, f"{len(theirs)} things, ours {len(ours)}")
        order = lambda thing: (str(thing.get("name", "")), json.dumps(thing, sort_keys=True, default=str)) if isinstance(thing, dict) else ("", str(thing))
        stable = lambda things: sorted(things, key=lambda thing: (str(thing.get("vhost", "")), str(thing.get("source", "")), str(thing.get("user", "")), str(thing.get("destination", "")), str(thing.get("routing_key", "")), order(thing)[0]) if isinstance(thing, dict) else order(thing))
        for one, other in zip(stable(theirs), stable(ours)):
            self.values(step, f"{field}[]", one, other)
        self.equal += 1


def policy(pattern, definition, apply_to="queues", priority=0):
    return {"pattern": pattern, "definition": definition, "apply-to": apply_to, "priority": priority}


def message(key, payload="hi", **properties):
    return {"properties": properties, "routing_key": key, "payload": payload, "payload_encoding": "string"}


EVERY = {"configure": ".*", "write": ".*", "read": ".*"}
GET = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}

# What is asked: method, address, body, user.
SCRIPT = [
    ("GET", "/api/overview"), ("GET", "/api/cluster-name"), ("GET", "/api/nodes"), ("GET", "/api/extensions"), ("GET", "/api/whoami"),
    ("GET", "/api/nodes/none"), ("GET", "/api/none"), ("GET", "/api/overview", None, None), ("GET", "/api/overview", None, "guest:wrong"),
    ("GET", "/api/overview", None, "none:none"),
    ("GET", "/api/vhosts"), ("GET", f"/api/vhosts/{Q}"), ("GET", "/api/vhosts/none"),
    ("PUT", "/api/vhosts/shop", {"description": "of the shop", "tags": "a,b"}), ("PUT", "/api/vhosts/shop", {}), ("GET", "/api/vhosts/shop"),
    ("PUT", "/api/vhosts/bare"), ("GET", "/api/vhosts/bare"), ("DELETE", "/api/vhosts/bare"), ("DELETE", "/api/vhosts/bare"),
    ("GET", "/api/vhosts/shop/permissions"), ("GET", "/api/vhosts/shop/topic-permissions"),
    ("GET", "/api/users"), ("GET", "/api/users/guest"), ("GET", "/api/users/none"),
    ("PUT", "/api/users/ann", {"password": "secret", "tags": "management"}), ("PUT", "/api/users/ann", {"password": "secret", "tags": "management"}),
    ("PUT", "/api/users/ben", {"password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": ["monitoring", "own"]}),
    ("GET", "/api/users/ben"), ("GET", "/api/whoami", None, "ben:test12"), ("PUT", "/api/users/cid", {"password": "x"}), ("PUT", "/api/users/cid", {"tags": ""}),
    ("GET", "/api/users/cid"), ("GET", "/api/whoami", None, "cid:"), ("GET", "/api/users/without-permissions"), ("POST", "/api/users/bulk-delete", {"users": ["cid", "none"]}),
    ("PUT", "/api/permissions/shop/ann", EVERY), ("PUT", "/api/permissions/shop/ann", EVERY), ("GET", "/api/permissions/shop/ann"),
    ("PUT", "/api/permissions/none/ann", EVERY), ("PUT", "/api/permissions/shop/none", EVERY), ("PUT", "/api/permissions/shop/ann", {"configure": "a"}),
    ("PUT", "/api/permissions/shop/ann", {"configure": "(", "write": "", "read": ""}), ("GET", "/api/permissions/shop/ben"), ("GET", "/api/permissions"),
    ("GET", "/api/users/ann/permissions"), ("GET", "/api/users/none/permissions"),
    ("PUT", "/api/topic-permissions/shop/ann", {"exchange": "amq.topic", "write": "^a", "read": "^b"}),
    ("PUT", "/api/topic-permissions/shop/ann", {"exchange": "amq.topic", "write": "^a", "read": "^b"}), ("GET", "/api/topic-permissions/shop/ann"),
    ("GET", "/api/topic-permissions"), ("GET", "/api/users/ann/topic-permissions"), ("GET", "/api/topic-permissions/shop/ann/amq.topic"), ("DELETE", "/api/topic-permissions/shop/ann/amq.topic"),
    ("GET", "/api/topic-permissions/shop/ann"),
    ("GET", "/api/exchanges"), ("GET", f"/api/exchanges/{Q}/amq.default"), ("GET", f"/api/exchanges/{Q}/amq.topic"), ("GET", f"/api/exchanges/{Q}/none"),
    ("PUT", "/api/exchanges/shop/events", {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "amq.fanout"}}),
    ("PUT", "/api/exchanges/shop/events", {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "amq.fanout"}}),
    ("PUT", "/api/exchanges/shop/events", {"type": "fanout"}), ("PUT", "/api/exchanges/shop/odd", {"type": "none"}), ("PUT", "/api/exchanges/shop/odd", {}),
    ("PUT", "/api/exchanges/shop/amq.mine", {"type": "fanout"}), ("GET", "/api/exchanges/shop/events"), ("PUT", "/api/exchanges/shop/all", {"type": "fanout", "durable": False, "auto_delete": True, "internal": True}),
    ("GET", "/api/exchanges/shop/all"), ("GET", "/api/exchanges/shop"), ("PUT", "/api/exchanges/none/e", {"type": "fanout"}),
    ("PUT", "/api/queues/shop/jobs", {"durable": True, "arguments": {"x-max-length": 100, "x-dead-letter-exchange": "events"}}),
    ("PUT", "/api/queues/shop/jobs", {"durable": True, "arguments": {"x-max-length": 100, "x-dead-letter-exchange": "events"}}),
    ("PUT", "/api/queues/shop/jobs", {"durable": False}), ("PUT", "/api/queues/shop/odd", {"durable": True, "arguments": {"x-max-length": -1}}),
    ("PUT", "/api/queues/shop/odd", {"durable": True, "arguments": {"x-message-ttl": "x"}}), ("PUT", "/api/queues/shop/amq.mine", {}), ("PUT", "/api/queues/none/q", {}),
    ("PUT", "/api/queues/shop/temporary", {"durable": False, "auto_delete": True}), ("GET", "/api/queues/shop/none"), ("PUT", "/api/queues/shop/bad", b"{"),
    ("POST", "/api/bindings/shop/e/events/q/jobs", {"routing_key": "a.#"}), ("POST", "/api/bindings/shop/e/events/q/jobs", {"routing_key": "a.#"}),
    ("POST", "/api/bindings/shop/e/events/e/all", {"routing_key": "b"}), ("POST", "/api/bindings/shop/e/none/q/jobs", {"routing_key": "b"}),
    ("POST", "/api/bindings/shop/e/events/q/none", {"routing_key": "b"}), ("GET", "/api/bindings/shop"), ("GET", "/api/bindings/shop/e/events/q/jobs"),
    ("GET", "/api/bindings/shop/e/events/q/jobs/a.%2523"), ("GET", "/api/bindings/shop/e/events/q/jobs/none"), ("GET", "/api/queues/shop/jobs/bindings"),
    ("GET", "/api/exchanges/shop/events/bindings/source"), ("GET", "/api/exchanges/shop/all/bindings/destination"), ("GET", "/api/bindings"),
    ("POST", "/api/exchanges/shop/events/publish", message("a.b", delivery_mode=2, headers={"n": 1}, priority=3, correlation_id="c", content_type="text/plain")),
    ("POST", "/api/exchanges/shop/events/publish", message("none")), ("POST", "/api/exchanges/shop/none/publish", message("a")),
    ("POST", "/api/exchanges/shop/events/publish", {"routing_key": "a"}), ("POST", "/api/exchanges/shop/events/publish", {**message("a.b"), "payload_encoding": "odd"}),
    ("POST", "/api/exchanges/shop/amq.default/publish", message("jobs", "again")),
    ("POST", "/api/queues/shop/jobs/get", GET), ("POST", "/api/queues/shop/jobs/get", {"count": 1}), ("POST", "/api/queues/shop/jobs/get", {**GET, "ackmode": "odd"}),
    ("POST", "/api/queues/shop/none/get", GET), ("POST", "/api/queues/shop/jobs/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "base64", "truncate": 3}),
    ("PUT", "/api/policies/shop/short", policy("^jobs", {"max-length": 50})), ("PUT", "/api/policies/shop/short", policy("^jobs", {"max-length": 50})),
    ("GET", "/api/policies/shop/short"), ("GET", "/api/policies"), ("GET", "/api/policies/shop"), ("GET", "/api/policies/shop/none"), ("PUT", "/api/policies/shop/odd", policy("(", {"max-length": 5})),
    ("PUT", "/api/policies/shop/odd", policy("a", {"none": 5})), ("PUT", "/api/policies/shop/odd", policy("a", {"max-length": "x"})), ("PUT", "/api/policies/shop/odd", {"pattern": "a"}),
    ("PUT", "/api/policies/shop/odd", policy("a", {})), ("PUT", "/api/policies/none/odd", policy("a", {"max-length": 5})), ("PUT", "/api/operator-policies/shop/cap", policy(".*", {"max-length": 20})),
    ("GET", "/api/operator-policies/shop/cap"), ("GET", "/api/operator-policies"), ("PUT", "/api/operator-policies/shop/odd", policy(".*", {"alternate-exchange": "x"})),
    ("GET", "/api/parameters"), ("GET", "/api/parameters/none"), ("GET", "/api/global-parameters"), ("PUT", "/api/global-parameters/motto", {"value": {"a": 1}}), ("GET", "/api/global-parameters/motto"),
    ("PUT", "/api/vhost-limits/shop/max-queues", {"value": 10}), ("GET", "/api/vhost-limits"), ("GET", "/api/vhost-limits/shop"), ("PUT", "/api/vhost-limits/shop/none", {"value": 10}),
    ("PUT", "/api/vhost-limits/none/max-queues", {"value": 10}), ("PUT", "/api/user-limits/ann/max-connections", {"value": 10}), ("GET", "/api/user-limits"), ("GET", "/api/user-limits/ann"),
    ("PUT", "/api/user-limits/none/max-connections", {"value": 1}), ("DELETE", "/api/user-limits/ann/max-connections"), ("DELETE", "/api/vhost-limits/shop/max-queues"),
    ("GET", "/api/health/checks/alarms"), ("GET", "/api/health/checks/local-alarms"), ("GET", "/api/health/checks/virtual-hosts"), ("GET", "/api/health/checks/node-is-quorum-critical"),
    ("GET", "/api/health/checks/node-is-mirror-sync-critical"), ("GET", "/api/health/checks/port-listener/1"), ("GET", "/api/health/checks/protocol-listener/amqp091"),
    ("GET", "/api/health/checks/protocol-listener/mqtt"), ("GET", "/api/health/checks/certificate-expiration/1/months"), ("GET", f"/api/aliveness-test/{Q}"), ("GET", "/api/aliveness-test/none"),
    ("GET", "/api/healthchecks/node"), ("GET", "/api/feature-flags"),
    ("GET", "/api/users", None, "ann:secret"), ("GET", "/api/nodes", None, "ann:secret"), ("GET", "/api/nodes", None, "ben:test12"), ("GET", "/api/vhosts", None, "ann:secret"),
    ("GET", "/api/queues", None, "ann:secret"), ("GET", f"/api/queues/{Q}", None, "ann:secret"), ("GET", "/api/overview", None, "ann:secret"), ("PUT", "/api/queues/shop/by-ann", {}, "ann:secret"),
    ("PUT", f"/api/queues/{Q}/by-ann", {}, "ann:secret"), ("PUT", "/api/policies/shop/by-ann", policy("a", {"max-length": 1}), "ann:secret"), ("PUT", "/api/vhosts/by-ann", {}, "ann:secret"),
    ("GET", "/api/definitions", None, "ann:secret"), ("GET", "/api/policies", None, "ann:secret"), ("GET", "/api/connections", None, "ann:secret"), ("GET", "/api/parameters", None, "ann:secret"),
    ("GET", "/api/permissions", None, "ann:secret"), ("DELETE", "/api/queues/shop/by-ann", None, "ann:secret"),
]
# The same behind clients and after some statistics.
LATER = [
    ("GET", "/api/overview"), ("GET", "/api/queues/shop"), ("GET", "/api/queues/shop/jobs"), ("GET", "/api/queues"), ("GET", "/api/exchanges/shop/events"), ("GET", "/api/vhosts"),
    ("GET", "/api/connections"), ("GET", "/api/channels"), ("GET", "/api/consumers"), ("GET", "/api/consumers/shop"), ("GET", "/api/vhosts/shop/connections"), ("GET", "/api/vhosts/shop/channels"),
    ("GET", "/api/connections/none"), ("GET", "/api/channels/none"), ("DELETE", "/api/connections/none"), ("GET", "/api/definitions"), ("GET", "/api/definitions/shop"), ("GET", "/api/definitions/none"),
    ("GET", "/api/queues?page=1&page_size=2&sort=name"), ("GET", "/api/queues?page=9"), ("GET", "/api/queues?page=x"), ("GET", "/api/queues?columns=name,messages&sort=name&sort_reverse=true"),
    ("GET", "/api/queues?name=jo&page=1"), ("GET", "/api/queues?name=^j&use_regex=true&page=1"),
    ("DELETE", "/api/queues/shop/jobs/contents"), ("DELETE", "/api/queues/shop/jobs?if-unused=true"), ("DELETE", "/api/queues/shop/none"), ("DELETE", "/api/bindings/shop/e/events/q/jobs/a.%2523"),
    ("DELETE", "/api/exchanges/shop/all"), ("DELETE", "/api/exchanges/shop/none"), ("DELETE", "/api/exchanges/shop/amq.topic"), ("DELETE", "/api/policies/shop/short"), ("DELETE", "/api/policies/shop/short"),
    ("DELETE", "/api/operator-policies/shop/cap"), ("DELETE", "/api/permissions/shop/ann"), ("DELETE", "/api/permissions/shop/ann"), ("DELETE", "/api/global-parameters/motto"),
    ("DELETE", "/api/users/ann"), ("DELETE", "/api/users/ann"), ("DELETE", "/api/vhosts/shop"), ("POST", "/api/definitions", {"users": [], "vhosts": [{"name": "again"}]}), ("GET", "/api/vhosts/again"),
    ("POST", "/api/definitions", b"nonsense"), ("POST", "/api/definitions", {"queues": [{"name": "q", "vhost": "none", "durable": True, "auto_delete": False, "arguments": {}}]}),
]


def address(step):
    method, path, *rest = step
    user = rest[1] if len(rest) > 1 else "guest:guest"
    asking = "" if user == "guest:guest" else f" as {user.split(':')[0] if user else 'nobody'}"
    return f"{method} {path}{asking}"


def run(script, apis, comparison):
    for step in script:
        method, path, *rest = step
        body, user = (rest + [None, "guest:guest"])[0] if rest else None, rest[1] if len(rest) > 1 else "guest:guest"
        answers = [api.ask(method, path, body, user) for api in apis]
        comparison.requests += 1
        (theirs, their_json), (ours, our_json) = answers
        where = address(step)
        if isinstance(body, dict) and method == "PUT":
            where += " " + json.dumps(body, sort_keys=True)[:70]
        if theirs != ours:
            comparison.note(where, "", f"status {theirs}, ours {ours} {str(our_json)[:90] if ours >= 400 else ''}".rstrip())
        else:
            comparison.equal += 1
            if theirs < 400:
                comparison.values(where, "", their_json, our_json)
            elif isinstance(their_json, dict) and isinstance(our_json, dict):
                comparison.values(where, "", their_json, our_json)


class Client:
    """A client of the virtual host `shop` that consumes and publishes."""

    def __init__(self, uri):
        parameters = pika.URLParameters(uri)
        parameters.virtual_host = "shop"
        parameters.client_properties = {"connection_name": "compared"}
        self.connection = pika.BlockingConnection(parameters)
        channel = self.connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.confirm_delivery()
        channel.basic_consume("jobs", lambda *_: None, consumer_tag="tag", arguments={"x-priority": 2})
        channel.basic_publish("events", "a.c", b"by a client")
        channel.basic_publish("", "jobs", b"by a client")

    def wait(self, seconds):
        self.connection.process_data_events(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rabbitmq", nargs=2, required=True)
    parser.add_argument("--leveret", nargs=2, required=True)
    parser.add_argument("--differences", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    apis = [Api(options.rabbitmq[0]), Api(options.leveret[0])]
    for api in apis:
        for _ in range(240):
            try:
                if api.ask("GET", "/api/overview")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        else:
            sys.exit(f"{api.base} does not answer")
    comparison = Comparison()
    run(SCRIPT, apis, comparison)
    clients = [Client(options.rabbitmq[1]), Client(options.leveret[1])]
    for _ in range(7):
        for client in clients:
            client.wait(0.5)
    run(LATER, apis, comparison)
    found = comparison.differences
    kinds = [line for line in found if ", ours " in line and "status" not in line and any(f"  {k}, ours" in line for k in ("text", "number", "bool", "null", "list", "object"))]
    print(f"{comparison.requests} requests to each, {comparison.equal} values equal or alike, {len(found)} differences: "
          f"{sum(line.endswith('  missing') for line in found)} fields missing, {len(kinds)} of another kind, "
          f"{sum('  status ' in line for line in found)} another status; {len(comparison.extra)} fields are ours alone")
    if options.write:
        with open(options.differences, "w") as file:
            file.write(HEAD + "".join(line + "\n" for line in sorted(found)))
        return
    with open(options.differences) as file:
        known = {line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")}
    new, gone = sorted(set(found) - known), sorted(known - set(found))
    for line in new:
        print(f"new:  {line}")
    for line in gone:
        print(f"gone: {line}")
    sys.exit(1 if new or gone else 0)


if __name__ == "__main__":
    main()
