"""The commands of the documents do what they say. Each page has a folder, and a broker on the usual ports; its blocks run in their order.

Blocks of the languages `sh` and `python` are run. A remark (an HTML comment) in the line before a block says what is special about it:

    not run: WHY      it cannot be run here
    background        it is a server: the next block comes when it says that it is listening
    fails             it ends with another code than 0
    output            what the block before has written; ... stands for anything
    file: NAME        it is the file of this name
    no broker         at the first block of a page: it starts its broker itself
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import markdown

COMMAND_SECONDS = 90
START_SECONDS = 30
RUN = ("sh", "python")
LANGUAGES = (*RUN, "text", "toml", "json", "ini", "rust", "yaml", "promql")
LOOKS_LIKE_A_COMMAND = re.compile(r"^\s*(?:\$ )?(leveret|cargo|docker|kubectl|pip|python3?|npm|go|mvn|curl|prometheus) ", re.MULTILINE)


class Wrong(Exception):
    """What a block did that it should not have."""


class Scene:
    """A page's folder, with its broker and what else runs in the background."""

    def __init__(self, root, binary, python):
        self.folder = Path(tempfile.mkdtemp(prefix="leveret-documentation-"))
        self.running = []
        tools = self.folder / ".bin"
        tools.mkdir()
        (tools / "leveret").symlink_to(binary)
        for name in ("examples", "docker", "docs"):
            (self.folder / name).symlink_to(root / name)
        path = f"{tools}:{Path(python).parent}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEVERET_", "AMQP_", "RABBITMQ_"))}
        self.environment = kept | {"PATH": path, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}

    def run(self, command):
        """The code and everything that was written."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, errors="replace")
        return done.returncode, done.stdout

    def start(self, command):
        """Start a server, and wait until it says that it listens."""
        log = open(self.folder / f".server-{len(self.running)}", "w+", encoding="utf-8")
        server = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=subprocess.STDOUT, start_new_session=True)
        self.running.append(server)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            if "listening" in Path(log.name).read_text(encoding="utf-8"):
                return
            time.sleep(0.05)
        raise Wrong(f"it does not listen:\n{Path(log.name).read_text(encoding='utf-8')}")

    def end(self):
        for server in reversed(self.running):
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
        shutil.rmtree(self.folder)


def check(root, pages, binary, python):
    """(blocks that ran, blocks that did not with their reasons, what is wrong)."""
    ran, left, faults = 0, [], []
    for name in pages:
        blocks = markdown.read(root / name, str(name)).blocks
        faults += [fault for block in blocks if (fault := unclear(block))]
        left += [f"{block.place()}: {block.remark.removeprefix('not run: ')}" for block in blocks
                 if block.language in RUN and block.remark.startswith("not run: ")]
        count, fault = perform(root, [block for block in blocks if not block.remark.startswith("not run: ")], binary, python)
        ran += count
        faults += fault
    return ran, left, faults


def unclear(block):
    """Nothing that looks like a command escapes because of its language."""
    if block.language not in LANGUAGES:
        return f"{block.place()}: the block's language is {block.language!r}, and should be one of {', '.join(LANGUAGES)}"
    if block.language not in RUN and not block.remark and LOOKS_LIKE_A_COMMAND.search(block.text):
        return f"{block.place()}: looks like commands, but is no `sh`"
    return None


def perform(root, blocks, binary, python):
    """Run a page's blocks until one goes wrong."""
    if not any(block.language in RUN for block in blocks):
        return 0, []
    scene, ran, output = Scene(root, binary, python), 0, ""
    try:
        if not any(block.remark == "no broker" for block in blocks):
            scene.start(["leveret", "serve", "--data-dir", ".broker"])
        for block in blocks:
            try:
                output = one(scene, block, output)
            except (Wrong, subprocess.TimeoutExpired) as error:
                return ran, [f"{block.place()}: {error}"]
            ran += block.language in RUN
        return ran, []
    finally:
        scene.end()


def one(scene, block, before):
    """Run a block, or compare it with what the one before has written; what was written last."""
    if block.remark.startswith("file: "):
        (scene.folder / block.remark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        return before
    if block.remark == "output":
        compare(block.text, before)
    if block.language not in RUN:
        return before
    command = ["bash", "-euo", "pipefail", "-c", block.text] if block.language == "sh" else ["python", "-c", block.text]
    if block.remark == "background":
        scene.start(command)
        return ""
    code, output = scene.run(command)
    if (code == 0) == (block.remark == "fails"):
        raise Wrong(f"ended with {code}:\n{output}")
    return output


def compare(wanted, got):
    """Line by line, without regard to how much space there is; ... is anything, a line of it any number of lines."""
    def pattern(line):
        return r"\s+".join(re.escape(word).replace(re.escape("..."), ".*") for word in line.split())

    lines = [line for line in wanted.splitlines() if line.strip()]
    expression = "".join(r"(?:.*\n)*?" if line.strip() == "..." else rf"[ \t]*{pattern(line)}[ \t]*\n+" for line in lines)
    if not re.fullmatch(rf"\n*{expression}", got if got.endswith("\n") else got + "\n"):
        raise Wrong(f"should have written:\n{wanted}but wrote:\n{got}")
