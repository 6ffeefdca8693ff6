"""Compares what did not pass in a suite with what is known not to: judge.py SUITE FAILURES REPORT

FAILURES has a line `SUITE: NAME` for each test that may not pass, behind comments with the reasons. REPORT is ginkgo's JSON or that of
`go test -json`. Exit status 1 if they differ, or if nothing has passed.
"""

import json
import sys


def of_ginkgo(suites):
    """Each test's name and how it ended, from ginkgo's report."""
    for suite in suites:
        for spec in suite["SpecReports"] or []:
            yield " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]]), spec["State"]


def of_go(lines):
    """The same of `go test -json`; tests inside of tests are counted with them. A package that ends badly is a failure by its own name."""
    words = {"pass": "passed", "fail": "failed", "skip": "skipped"}
    for event in map(json.loads, lines):
        if event["Action"] in words and "/" not in event.get("Test", ""):
            yield event.get("Test", "(all)"), words[event["Action"]]


def known(path, suite):
    """Names that stand in the file of known failures."""
    with open(path, encoding="utf-8") as lines:
        split = (line.strip().split(": ", 1) for line in lines if line.strip() and not line.startswith("#"))
        return {name for its, name in split if its == suite}


def main(suite, failures, report):
    with open(report, encoding="utf-8") as file:
        results = dict(of_ginkgo(json.load(file)) if suite == "rabbit-hole" else of_go(file))
    whole = results.pop("(all)", "passed")
    by_state = lambda state: {name for name, its in results.items() if its == state}
    passed, skipped = by_state("passed"), by_state("skipped")
    failed = set(results) - passed - skipped
    expected = known(failures, suite)
    for name in sorted(failed - expected):
        print(f"{suite}: does not pass: {name}")
    for name in sorted(expected - failed):
        print(f"{suite}: stands in {failures} and passes, or is not there: {name}")
    print(f"{suite}: {len(passed)} passed, {len(failed)} did not, {len(skipped)} were left out by the suite itself")
    is_whole = whole == "passed" or failed
    return 0 if failed == expected and passed and is_whole else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
