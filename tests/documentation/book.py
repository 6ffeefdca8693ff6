"""Makes the book (target/book/html) of docs/ and of what lies beside it and belongs there: `tests/documentation/run book`.

In the repository docs/SUMMARY.md names files from docs/; in the book's sources everything lies as in the repository, so that links
between pages stay as they are. Pages that link to code get the repository's address in its place, if book.toml says one.
"""

import re
import shutil
import subprocess

BESIDE = ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "protocol-spec", "docker", "examples"]


def make(root, mdbook):
    """The folder of the HTML."""
    book = root / "target" / "book"
    shutil.rmtree(book, ignore_errors=True)
    source = book / "src"
    shutil.copytree(root / "docs", source / "docs")
    for name in BESIDE:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, source / name, **({"ignore": shutil.ignore_patterns("node_modules", "target")} if copy is shutil.copytree else {}))
    summary = (source / "docs" / "SUMMARY.md").read_text(encoding="utf-8")
    summary = re.sub(r"\]\((?!\.\./)", "](docs/", summary).replace("](../", "](")
    (source / "SUMMARY.md").write_text(summary, encoding="utf-8")
    (source / "docs" / "SUMMARY.md").unlink()
    shutil.copy(root / "docs" / "book.toml", book / "book.toml")
    (source / "docs" / "book.toml").unlink()
    done = subprocess.run([mdbook, "build", str(book)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0 or "ERROR" in done.stdout:
        raise SystemExit(f"the book cannot be made:\n{done.stdout}")
    return book / "html"
