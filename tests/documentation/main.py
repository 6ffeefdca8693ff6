"""Checks the documentation; see `run`."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import book
import commands
import links

ROOT = Path(__file__).resolve().parents[2]
PORTS = (5672, 15672, 15692)


def main():
    what = sys.argv[1:] or ["links", "commands", "book"]
    faults = []
    if "links" in what:
        count, wrong = links.check(ROOT)
        print(f"links: {count}, {len(wrong)} wrong")
        faults += wrong
    if "commands" in what:
        faults += run_commands([Path(name) for name in what if name.endswith(".md")])
    if "book" in what:
        print(f"book: {book.make(ROOT, os.environ.get('MDBOOK', 'mdbook'))}")
    print("\n".join(faults))
    sys.exit(bool(faults))


def run_commands(pages):
    """In a network of their own, if that may be had; else the usual ports must be free."""
    if os.environ.get("DOCUMENTATION_NETWORK") != "own" and network_can_be_had():
        inner = "ip link set lo up && exec \"$@\""
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", inner, "sh", sys.executable,
                               __file__, "commands", *map(str, pages)], env=os.environ | {"DOCUMENTATION_NETWORK": "own"}, check=False)
        return [] if done.returncode == 0 else ["commands: see above"]
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise SystemExit(f"port {port} is in use, and the documents' commands need it") from None
    binary = Path(os.environ.get("LEVERET_BIN", ROOT / "target/release/leveret")).resolve()
    if not binary.exists():
        raise SystemExit(f"no broker at {binary}: run cargo build --release")
    pages = pages or [Path("README.md"), Path("examples/README.md"), *sorted(
        page.relative_to(ROOT) for page in (ROOT / "docs").glob("*.md") if page.name not in ("SUMMARY.md", "command-line.md"))]
    ran, left, wrong = commands.check(ROOT, pages, binary, sys.executable)
    for reason in left:
        print(f"not run: {reason}")
    print(f"commands: {ran} blocks of {len(pages)} pages ran, {len(left)} did not, {len(wrong)} wrong", flush=True)
    return wrong


def network_can_be_had():
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    probe = ["unshare", "--user", "--map-root-user", "--net", "ip", "link", "set", "lo", "up"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


main()
