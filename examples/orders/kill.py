"""Runs the shop with all of its services and a broker, kills one after the other with SIGKILL, the broker too, and looks whether an order
was lost or done twice: kill.py [--postgresql] [SEED] [KILLS] [ORDERS]. LEVERET_BIN names the broker (default: target/release/leveret).
With --postgresql the services have their tables in a PostgreSQL that it starts (Debian's; it is not among what is killed), else in files of SQLite.

Which part is killed and how far the orders are by then follow from the seed.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import TABLES, database

HERE = Path(__file__).resolve().parent
BROKER = os.environ.get("LEVERET_BIN", HERE.parents[1] / "target/release/leveret")
PARTS = {
    "broker": [BROKER, "serve", "--http-listen", "none", "--metrics-listen", "none", "--log", "warn"],
    "shop": ["shop.py"], "relay of the shop": ["relay.py", "shop"], "relay of the warehouse": ["relay.py", "warehouse"],
    "warehouse": ["warehouse.py"], "billing": ["billing.py"], "shipping": ["shipping.py"],
}
WAIT_SECONDS = 90


class House:
    """All parts as processes, in a folder of their own."""

    def __init__(self, orders, postgresql):
        self.folder = Path(tempfile.mkdtemp(prefix="leveret-orders-"))
        address = f"127.0.0.1:{free_port()}"
        os.environ.pop("ORDERS_DATABASE", None)
        self.environment = os.environ | {"AMQP_URL": f"amqp://guest:guest@{address}", "ORDERS_FOLDER": str(self.folder),
                                         "ORDERS_COUNT": str(orders), "LEVERET_AMQP_LISTEN": address,
                                         "LEVERET_DATA_DIR": str(self.folder / "broker")}
        self.running = {}
        self.cluster = None
        if postgresql:
            self.start_postgresql()
        os.environ.update(self.environment)
        self.databases = {service: database(service) for service in TABLES}

    def start_postgresql(self):
        """A cluster in the folder, that only listens there. PostgreSQL does not run as root."""
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        user = {"user": "postgres"} if os.getuid() == 0 else {}
        home = self.folder / "postgresql"
        home.mkdir()
        self.folder.chmod(0o755)
        if user:
            shutil.chown(home, "postgres")
        subprocess.run([programs / "initdb", "-D", home / "data", "-U", "shop", "-A", "trust", "--no-sync"], check=True, cwd=home,
                       stdout=subprocess.DEVNULL, **user)
        command = [programs / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses="]
        with open(self.folder / "postgresql.log", "ab") as log:
            self.cluster = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **user)
        deadline = time.monotonic() + WAIT_SECONDS
        while subprocess.run([programs / "pg_isready", "-q", "-h", home], check=False).returncode != 0:
            if time.monotonic() > deadline or self.cluster.poll() is not None:
                self.fail("PostgreSQL does not start")
            time.sleep(0.1)
        self.environment["ORDERS_DATABASE"] = f"host={home} user=shop dbname=postgres"

    def start(self, part):
        command = PARTS[part] if part == "broker" else [sys.executable, "-B", HERE / PARTS[part][0], *PARTS[part][1:]]
        with open(self.folder / f"{part}.log", "ab") as log:
            self.running[part] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, part):
        self.running[part].kill()
        self.running[part].wait()

    def fetch(self, service, query):
        """A row of a service's database."""
        return self.databases[service].execute(query).fetchone()

    def done(self):
        """How many orders have come to their end: billed, and shipped."""
        return min(self.fetch("billing", "SELECT COALESCE(SUM(bills), 0) FROM account")[0], self.fetch("shipping", "SELECT COUNT(*) FROM parcels")[0])

    def wait_for(self, orders):
        deadline = time.monotonic() + WAIT_SECONDS
        while self.done() < orders:
            for part, process in self.running.items():
                if process.poll() is not None:
                    self.fail(f"{part} has ended by itself with {process.returncode}")
            if time.monotonic() > deadline:
                self.fail(f"{self.done()} orders are done, {orders} should be")
            time.sleep(0.01)

    def fail(self, why):
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.stem}\n{log.read_text(errors='replace')[-2000:]}")
        raise SystemExit(why)

    def check(self, orders):
        """Every order once, everywhere. The outboxes are empty when the last relay has seen its confirms."""
        hats = sum(number % 3 + 1 for number in range(1, orders + 1))
        equal("orders", self.fetch("shop", "SELECT COUNT(*), SUM(hats) FROM orders"), (orders, hats))
        equal("hats on the shelf", self.fetch("warehouse", "SELECT hats FROM shelf"), (100_000 - hats,))
        equal("bills", self.fetch("billing", "SELECT bills, due FROM account"), (orders, 25 * hats))
        equal("parcels", self.fetch("shipping", "SELECT COUNT(*), COUNT(DISTINCT order_number) FROM parcels"), (orders, orders))

    def end(self):
        for part in self.running:
            self.kill(part)
        if self.cluster:
            self.cluster.send_signal(signal.SIGQUIT)  # at once
            self.cluster.wait()
        shutil.rmtree(self.folder)


def free_port():
    """One that the broker can take again after each kill: outgoing connections get theirs from 32768 on."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def equal(what, got, wanted):
    if tuple(got) != wanted:
        raise SystemExit(f"{what}: {got}, should be {wanted}")
    print(f"{what}: {got}, as it should be")


def main():
    numbers = [int(value) for value in sys.argv[1:] if value != "--postgresql"]
    seed, kills, orders = numbers + [random.randrange(1 << 32), 20, 300][len(numbers):]
    print(f"seed {seed}, {kills} kills, {orders} orders", flush=True)
    chance, house = random.Random(seed), House(orders, "--postgresql" in sys.argv)
    moments = sorted(chance.randrange(orders) for _ in range(kills))
    # Each part at least once, if there are enough kills.
    victims = [*PARTS, *chance.choices(list(PARTS), k=max(0, kills - len(PARTS)))][:kills]
    chance.shuffle(victims)
    try:
        for part in PARTS:
            house.start(part)
        for moment, part in zip(moments, victims):
            house.wait_for(moment)
            house.kill(part)
            print(f"after {moment} orders: {part} killed", flush=True)
            house.start(part)
        house.wait_for(orders)
        house.check(orders)
    finally:
        house.end()


main()
