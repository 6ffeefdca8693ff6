"""Runs the shop with all of its services and a broker, kills one after the other with SIGKILL, the broker too, and looks whether an order
was lost or done twice: kill.py [SEED] [KILLS] [ORDERS]. LEVERET_BIN names the broker (default: target/release/leveret).

Which part is killed and how far the orders are by then follow from the seed.
"""

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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

    def __init__(self, orders):
        self.folder = Path(tempfile.mkdtemp(prefix="leveret-orders-"))
        address = f"127.0.0.1:{free_port()}"
        self.environment = os.environ | {"AMQP_URL": f"amqp://guest:guest@{address}", "ORDERS_FOLDER": str(self.folder),
                                         "ORDERS_COUNT": str(orders), "LEVERET_AMQP_LISTEN": address,
                                         "LEVERET_DATA_DIR": str(self.folder / "broker")}
        self.running = {}

    def start(self, part):
        command = PARTS[part] if part == "broker" else [sys.executable, "-B", HERE / PARTS[part][0], *PARTS[part][1:]]
        with open(self.folder / f"{part}.log", "ab") as log:
            self.running[part] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, part):
        self.running[part].kill()
        self.running[part].wait()

    def fetch(self, service, query):
        """A row of a service's database; zeros while it has none yet."""
        path = self.folder / f"{service}.sqlite"
        if not path.exists():
            return (0, 0)
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(query).fetchone() or (0, 0)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return (0, 0)
            raise
        finally:
            db.close()

    def done(self):
        """How many orders have come to their end: billed, and shipped."""
        return min(self.fetch("billing", "SELECT bills FROM account")[0], self.fetch("shipping", "SELECT COUNT(*) FROM parcels")[0])

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
    seed, kills, orders = (int(value) for value in (sys.argv[1:] + [str(random.randrange(1 << 32)), "20", "300"][len(sys.argv) - 1:]))
    print(f"seed {seed}, {kills} kills, {orders} orders", flush=True)
    chance, house = random.Random(seed), House(orders)
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
