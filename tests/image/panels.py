"""Asks a Prometheus for every query of the dashboards in docker/grafana, as Grafana would: panels.py PROVISIONING DASHBOARDS

Prometheus is where Grafana's provisioning has it. Waits until every query gives a number. Says how many queries do, for each dashboard, and how
long that took; ends with 1 if one does not, if a target is down, or if a rule cannot be evaluated. tests/image/compose runs it in Compose's network.
"""

import json
import pathlib
import re
import sys
import time
import urllib.error

from evaluate import VARIABLES, Server, queries_of, rules_of

DEADLINE_SECONDS = 240
# Grafana's: four times what the data source says of the time between two scrapes.
AS_GRAFANA = {**VARIABLES, "__rate_interval": "1m"}


def main(provisioning, dashboards):
    source = pathlib.Path(provisioning, "datasources/prometheus.yml").read_text()
    server = Server(re.search(r"url: (\S+)", source)[1])
    boards = {path.name: list(queries_of(json.loads(path.read_text()), AS_GRAFANA)) for path in sorted(pathlib.Path(dashboards).glob("*.json"))}
    problems = {(board, *query): "not asked" for board, queries in boards.items() for query in queries}
    began = time.monotonic()
    while problems and time.monotonic() < began + DEADLINE_SECONDS:
        try:
            problems = {of: why for of in problems if (why := server.problem(of[2]))}
        except urllib.error.URLError:
            pass  # it has only begun
        time.sleep(2)
    wrong = [f"{board}: {panel}: {why}\n    {query}" for (board, panel, query), why in problems.items()]
    for board, queries in boards.items():
        print(f"  {board}: {sum((board, *query) not in problems for query in queries)} of {len(queries)} queries give series")
    targets, rules = server.ask("targets")["activeTargets"], list(rules_of(server))
    wrong += [f"{target['scrapeUrl']}: {target['lastError']}" for target in targets if target["health"] != "up"]
    wrong += [f"rule {rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]
    print(f"  {len(targets)} targets are up, {len(rules)} rules are evaluated; {time.monotonic() - began:.0f} s")
    if wrong or not targets or not rules:
        sys.exit("\n".join(wrong) or "no targets, or no rules")


if __name__ == "__main__":
    main(*sys.argv[1:])
