"""Drives RabbitMQ's own command-line program, as a RabbitMQ serves it, against Leveret."""

import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request


def main():
    rabbitmq, leveret = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/rabbitmqadmin"
        urllib.request.urlretrieve(f"{rabbitmq}/cli/rabbitmqadmin", program)
        where = urllib.parse.urlsplit(leveret)

        def run(*arguments, user="guest", password="guest"):
            command = [sys.executable, program, "-H", where.hostname, "-P", str(where.port), "-u", user, "-p", password, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
            return done.stdout

        def listed(what, *columns):
            return json.loads(run("-f", "raw_json", "list", what, *columns))

        checks = 0

        def check(fact, holds):
            nonlocal checks
            assert holds, fact
            checks += 1

        check("overview", "leveret@" in run("show", "overview"))
        run("declare", "vhost", "name=admin")
        run("declare", "user", "name=ann", "password=secret", "tags=monitoring")
        run("declare", "permission", "vhost=admin", "user=ann", "configure=.*", "write=.*", "read=.*")
        run("-V", "admin", "declare", "exchange", "name=events", "type=topic")
        run("-V", "admin", "declare", "queue", "name=jobs", "durable=true", 'arguments={"x-max-length": 7}')
        run("-V", "admin", "declare", "binding", "source=events", "destination=jobs", "routing_key=a.*")
        run("-V", "admin", "declare", "policy", "name=short", "pattern=^jobs", 'definition={"max-length": 5}', "apply-to=queues")
        check("published", "Message published" in run("-V", "admin", "publish", "exchange=events", "routing_key=a.b", "payload=hello"))
        check("not routed", "NOT routed" in run("-V", "admin", "publish", "exchange=events", "routing_key=none", "payload=hello"))
        check("got", "hello" in run("-V", "admin", "get", "queue=jobs", "ackmode=ack_requeue_false"))
        run("-V", "admin", "purge", "queue", "name=jobs")
        queue = next(item for item in listed("queues") if item["name"] == "jobs")
        check("queue", queue["arguments"] == {"x-max-length": 7} and queue["policy"] == "short")
        for what, name in [("vhosts", "admin"), ("users", "ann"), ("exchanges", "events"), ("policies", "short")]:
            check(what, any(item["name"] == name for item in listed(what)))
        for what in ["bindings", "permissions", "connections", "channels", "consumers", "nodes", "parameters"]:
            check(what, isinstance(listed(what), list))
        check("a monitor", "admin" in run("list", "vhosts", "name", user="ann", password="secret"))
        check("tables", "jobs" in run("list", "queues", "name"))
        run("export", f"{folder}/definitions.json")
        with open(f"{folder}/definitions.json") as file:
            check("export", any(item["name"] == "jobs" for item in json.load(file)["queues"]))
        run("-V", "admin", "delete", "queue", "name=jobs")
        run("import", f"{folder}/definitions.json")
        check("import", any(item["name"] == "jobs" for item in listed("queues")))
        run("-V", "admin", "delete", "binding", "source=events", "destination_type=queue", "destination=jobs", "properties_key=a.%2A")
        run("-V", "admin", "delete", "policy", "name=short")
        run("-V", "admin", "delete", "exchange", "name=events")
        run("delete", "user", "name=ann")
        run("delete", "vhost", "name=admin")
        check("gone", all(item["name"] != "admin" for item in listed("vhosts")))
        print(f"rabbitmqadmin: {checks} checks ok")


if __name__ == "__main__":
    main()
