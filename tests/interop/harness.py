"""What the Python programs share: counted checks, names unique to a run, one deadline for the program.

A program prints `client <name> <version>` once and `check <fact>` for every fact that held; the first
fact that does not hold ends it with an exit code other than zero. tests/interop/run counts the lines.
"""

import faulthandler
import os
import time
import uuid

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
# With TLS: whom to trust, and what to show.
TLS_CA, TLS_CERT, TLS_KEY = (os.environ.get(f"AMQP_TLS_{name}") for name in ("CA", "CERT", "KEY"))
RUN = uuid.uuid4().hex[:8]
WAIT_SECONDS = 10
QUIET_SECONDS = 0.2  # how long to watch for a delivery that must not come
PROGRAM_SECONDS = 90

# The work queue of every client: publish TEN, take four, keep some, lose the connection.
TEN = [b"job %d" % i for i in range(10)]

# Patterns and the keys each must match, after AMQP 0-9-1 section 3.1.3.3.
TOPIC_PATTERNS = ["*.orange.*", "*.*.rabbit", "lazy.#", "#", "a.#.b", "*"]
TOPIC_KEYS = {
    "quick.orange.rabbit": {"*.orange.*", "*.*.rabbit", "#"},
    "lazy.orange.elephant": {"*.orange.*", "lazy.#", "#"},
    "quick.orange.fox": {"*.orange.*", "#"},
    "lazy.pink.rabbit": {"*.*.rabbit", "lazy.#", "#"},
    "quick.brown.fox": {"#"},
    "orange": {"#", "*"},
    "quick.orange.new.rabbit": {"#"},
    "lazy.orange.new.rabbit": {"lazy.#", "#"},
    "lazy": {"lazy.#", "#", "*"},
    "a.b": {"a.#.b", "#"},
    "a.x.y.b": {"a.#.b", "#"},
}

# Header sets and which of the bindings {format: pdf, type: report} with x-match all and any they match.
HEADER_CASES = {
    "both": ({"format": "pdf", "type": "report"}, {"all", "any"}),
    "more": ({"format": "pdf", "type": "report", "pages": 3}, {"all", "any"}),
    "one": ({"format": "pdf", "type": "log"}, {"any"}),
    "other": ({"format": "zip", "type": "log"}, set()),
    "none": ({}, set()),
}


def client(name, version):
    """Name the client under test, and start the deadline of the program."""
    faulthandler.dump_traceback_later(PROGRAM_SECONDS, exit=True)
    print("client", name, version, flush=True)


def equal(what, got, want):
    """Count a check, or end the program with both values."""
    if got != want:
        raise SystemExit(f"not so: {what}\n  got  {got!r}\n  want {want!r}")
    print("check", what, flush=True)


def holds(what, condition):
    """Count a check that is a yes or a no."""
    equal(what, bool(condition), True)


def name(stem):
    """A name that no other run uses."""
    return f"interop-{stem}-{RUN}"


def until(what, poll, seconds=WAIT_SECONDS):
    """The first true answer of poll, asked every 20 ms, before the deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := poll():
            return answer
        time.sleep(0.02)
    raise SystemExit(f"waited {seconds} s in vain for {what}")


def expected_keys(pattern):
    """The keys of TOPIC_KEYS that a pattern matches, in publishing order."""
    return [key for key, patterns in TOPIC_KEYS.items() if pattern in patterns]


def expected_headers(match):
    """The names of HEADER_CASES that an x-match binding matches, in publishing order."""
    return [case for case, (_, matches) in HEADER_CASES.items() if match in matches]
