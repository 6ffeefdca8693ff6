"""The checks find what is wrong: each of these pages has one fault, and the last one none."""

import subprocess
import sys
import tempfile
from pathlib import Path

import commands
import links

SUMMARY = "# Summary\n\n- [a](page.md)\n"
DEAD = {
    "a file that is not there": ("[x](nowhere.md)", "there is no such file"),
    "a heading that is not there": ("[x](#nowhere)", "there is no such heading"),
    "a heading of another page": ("[x](SUMMARY.md#nothing)", "there is no such heading"),
    "nothing": ("# Here, there\n\n[x](#here-there) [y](https://example.org/) `[z](code.md)`", None),
}
FAULTY = {
    "a command that fails": ("```sh\nfalse\n```", "ended with 1"),
    "a command that should fail": ("<!-- fails -->\n```sh\ntrue\n```", "ended with 0"),
    "a failure in the middle of a pipe": ("```sh\nfalse | true\n```", "ended with 1"),
    "another output": ("```sh\necho hare\n```\n<!-- output -->\n```text\nfox\n```", "should have written"),
    "more output than is told": ("```sh\necho hare; echo fox\n```\n<!-- output -->\n```text\nhare\n```", "should have written"),
    "a server that does not listen": ("<!-- background -->\n```sh\nfalse\n```", "it does not listen"),
    "a block without a language": ("```\nleveret status\n```", "the block's language is ''"),
    "a command that is called text": ("```text\nleveret status\n```", "looks like commands"),
    "nothing": ("```sh\nleveret; echo hare, fox\n```\n\n<!-- output -->\n\n```text\n...\nhare,   ...\n```", None),
}


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "docs").mkdir()
        (root / "docs" / "SUMMARY.md").write_text(SUMMARY, encoding="utf-8")
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        server = root / "leveret"
        server.write_text("#!/bin/sh\necho listening\n[ $# = 0 ] || exec sleep 600\n", encoding="utf-8")
        server.chmod(0o755)
        for what, (text, fault) in DEAD.items():
            (root / "docs" / "page.md").write_text(text, encoding="utf-8")
            expect(what, links.check(root)[1], fault)
        for what, (text, fault) in FAULTY.items():
            (root / "docs" / "page.md").write_text(text, encoding="utf-8")
            expect(what, commands.check(root, [Path("docs/page.md")], server, sys.executable)[2], fault)
        (root / "docs" / "other.md").write_text("", encoding="utf-8")
        expect("a page outside of the book", links.check(root)[1][-1:], "is not in docs/SUMMARY.md")
    print(f"the checks themselves: {len(DEAD) + len(FAULTY) + 1} cases")


def expect(what, faults, wanted):
    right = not faults if wanted is None else len(faults) == 1 and wanted in faults[0]
    if not right:
        raise SystemExit(f"{what}: found {faults}, should be {wanted}")


main()
