"""Has Prometheus scrape a broker under load, and evaluates every query that we ship.

    evaluate.py AMQP_URL METRICS_URL PROMETHEUS DOCKER_FOLDER

Says `ok` with the number of queries, or which of them give no series or no number, and ends with 1 then.
"""

import json
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pika

DEADLINE_SECONDS = 120
# A variable of Grafana's, and what it is here.
VARIABLES = {"__rate_interval": "15s", "instance": ".*", "vhost": ".*", "queue": ".*", "top": "10"}

# What RabbitMQ's dashboards show. Each series is joined with who the broker is.
NAMES_OF_RABBITMQ = """
build_info erlang_uptime_seconds connections channels queues global_consumers global_publishers connections_opened_total
connections_closed_total channels_opened_total channels_closed_total queues_declared_total queues_created_total queues_deleted_total
queue_messages_ready queue_messages_unacked disk_space_available_bytes disk_space_available_limit_bytes
process_resident_memory_bytes resident_memory_limit_bytes process_open_fds process_max_fds message_size_bytes_bucket
message_size_bytes_count message_size_bytes_sum global_messages_received_total global_messages_received_confirm_total
global_messages_routed_total global_messages_confirmed_total global_messages_unroutable_dropped_total
global_messages_unroutable_returned_total global_messages_delivered_total global_messages_delivered_consume_auto_ack_total
global_messages_delivered_consume_manual_ack_total global_messages_delivered_get_auto_ack_total
global_messages_delivered_get_manual_ack_total global_messages_get_empty_total global_messages_redelivered_total
global_messages_acknowledged_total
""".split()
JOIN = "* on (instance, job) group_left (rabbitmq_cluster, rabbitmq_node) rabbitmq_identity_info"


class Load(threading.Thread):
    """Does a bit of everything, again and again, until it is told to stop."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.failure = None
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.publisher = self.connection.channel()
        self.publisher.confirm_delivery()
        self.client = self.connection.channel()
        self.count = 0

    def declare(self):
        declare = self.publisher.queue_declare
        declare("work", durable=True)
        declare("fast")
        declare("replicated", durable=True, arguments={"x-queue-type": "quorum"})
        declare("abandoned", arguments={"x-max-length": 50})
        declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        declare("brief", arguments={"x-message-ttl": 10})
        declare("once", arguments={"x-message-deduplication": True})
        declare("dead", arguments={"x-max-length": 50})
        declare("mortal", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
        retry = {"x-delayed-retry-type": "all", "x-delayed-retry-min": 60000, "x-delayed-retry-max": 60000}
        declare("again", arguments={**retry, "x-max-length": 50})
        self.client.basic_qos(prefetch_count=20)
        self.client.basic_consume("work", self.acknowledge)
        self.client.basic_consume("replicated", self.acknowledge)
        self.client.basic_consume("fast", lambda *_: None, auto_ack=True)

    def acknowledge(self, channel, method, _properties, _body):
        self.count += 1
        # Some stay unacknowledged for a while, some come again.
        if self.count % 7 == 0 and not method.redelivered:
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            channel.basic_ack(method.delivery_tag)

    def publish(self, queue, mandatory=False, **properties):
        try:
            of = pika.BasicProperties(**properties)
            self.publisher.basic_publish("", queue, b"x" * 200, of, mandatory=mandatory)
        except (pika.exceptions.UnroutableError, pika.exceptions.NackError):
            pass  # both are wanted

    def turn(self, number):
        for queue in ["work", "replicated", "fast", "abandoned", "full", "brief", "mortal", "again", "nowhere"]:
            self.publish(queue, delivery_mode=2)
        self.publish("nowhere", mandatory=True)
        self.publish("once", headers={"x-deduplication-header": f"{number // 2}"})
        self.publish("work", headers={"x-delay": 500})
        for queue, requeue in [("mortal", False), ("again", True)]:
            method, _, _ = self.publisher.basic_get(queue)
            if method:
                self.publisher.basic_nack(method.delivery_tag, requeue=requeue)
        self.publisher.basic_get("once", auto_ack=True)
        self.publisher.basic_get("once", auto_ack=True)
        if number % 10 == 0:
            self.publisher.basic_get("abandoned")  # and not acknowledged
            name = self.publisher.queue_declare("", exclusive=True).method.queue
            self.publisher.queue_delete(name)

    def run(self):
        try:
            self.declare()
            number = 0
            while not self.stopped.is_set():
                self.turn(number)
                self.connection.process_data_events(0.05)
                number += 1
            self.connection.close()
        except Exception as error:
            self.failure = error


class Server:
    """A Prometheus that runs at an address."""

    def __init__(self, address):
        self.base = f"{address}/api/v1/"

    def ask(self, path, **query):
        with urllib.request.urlopen(f"{self.base}{path}?{urllib.parse.urlencode(query)}", timeout=20) as answer:
            return json.load(answer)["data"]

    def problem(self, query):
        """What is wrong with the answer to a query; None if nothing is."""
        try:
            found = self.ask("query", query=query)["result"]
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                return json.loads(text)["error"]
            except (ValueError, KeyError):
                return text  # Prometheus is not ready yet
        if not found:
            return "no series"
        if all(math.isnan(float(series["value"][1])) for series in found):
            return "no number"
        return None


class Prometheus(Server):
    """One that scrapes a broker each second, by the configuration that we ship."""

    def __init__(self, program, docker, metrics):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        shipped = (docker / "prometheus/prometheus.yml").read_text()
        config = re.sub(r"127\.0\.0\.1:15692", urllib.parse.urlsplit(metrics).netloc, shipped)
        config = re.sub(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s", config)
        (folder / "prometheus.yml").write_text(config)
        (folder / "alerts.yml").write_text((docker / "prometheus/alerts.yml").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        super().__init__(f"http://{address}")
        self.log = open(folder / "log", "w+")
        command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address={address}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def last_words(self):
        self.log.flush()
        self.log.seek(0)
        return "".join(self.log.readlines()[-10:])


def with_variables(query, variables=VARIABLES):
    for name, value in variables.items():
        query = query.replace(f"${{{name}}}", value).replace(f"${name}", value)
    assert "$" not in query, query
    return query


def queries_of(board, variables=VARIABLES):
    """Where each query of a dashboard stands, and the query."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{board['title']}: {panel['title']}", with_variables(target["expr"], variables)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            selected = re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])
            yield f"{board['title']}: ${variable['name']}", with_variables(selected[1], variables)


def all_queries(docker):
    boards = sorted((docker / "grafana").glob("*.json"))
    assert len(boards) >= 2, boards
    for path in boards:
        yield from queries_of(json.loads(path.read_text()))
    for name in NAMES_OF_RABBITMQ:
        yield f"RabbitMQ: {name}", f'sum(rabbitmq_{name}{{job="leveret"}} {JOIN})'


def evaluate(prometheus, load, queries):
    """Waits until every query gives a number; the problems of those that do not."""
    problems, deadline = dict.fromkeys(queries, "not asked"), time.monotonic() + DEADLINE_SECONDS
    while problems and time.monotonic() < deadline and load.failure is None:
        assert prometheus.process.poll() is None, prometheus.last_words()
        try:
            problems = {of: why for of in problems if (why := prometheus.problem(of[1]))}
        except urllib.error.URLError:
            pass  # it has only begun
        time.sleep(0.5)
    return problems


def rules_of(prometheus):
    for group in prometheus.ask("rules")["groups"]:
        yield from group["rules"]


def main(amqp, metrics, program, docker):
    queries = list(all_queries(docker))
    prometheus = Prometheus(program, docker, metrics)
    load = Load(amqp)
    try:
        load.start()
        problems = evaluate(prometheus, load, queries)
        rules = list(rules_of(prometheus))
        targets = prometheus.ask("targets")["activeTargets"]
    finally:
        load.stopped.set()
        prometheus.end()
        load.join(20)
    if load.failure:
        sys.exit(f"the load has failed: {load.failure!r}")
    wrong = [f"{where}: {why}\n    {query}" for (where, query), why in problems.items()]
    wrong += [f"rule {rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]
    wrong += [f"{target['scrapeUrl']}: {target['lastError']}" for target in targets if target["health"] != "up"]
    if wrong or not rules or len(targets) != 2:
        sys.exit("\n".join(wrong) or f"{len(rules)} rules, {len(targets)} targets")
    took = max(target["lastScrapeDuration"] for target in targets)
    print(f"ok: {len(queries)} queries give series, {len(rules)} rules are evaluated, a scrape takes {took * 1000:.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], os.fspath(sys.argv[3]), pathlib.Path(sys.argv[4]))
