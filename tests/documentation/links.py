"""No link of a document leads nowhere: files are there, and so are the headings that are named. Addresses of the web are left alone."""

import subprocess
from pathlib import Path

import markdown


def documents(root):
    """Every Markdown file of the project, from its folder."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root, check=True,
                            capture_output=True, text=True)
    return sorted(Path(name) for name in listed.stdout.split("\n") if name and (root / name).exists())


def check(root):
    """How many links there are, and what is wrong with them."""
    pages = {name: markdown.read(root / name, str(name)) for name in documents(root)}
    faults, count = [], 0
    for name, page in pages.items():
        for line, link in page.links:
            count += 1
            if fault := dead(root, pages, name, link):
                faults.append(f"{name}:{line}: {link}: {fault}")
    return count, faults + not_in_the_book(root, pages)


def dead(root, pages, name, link):
    if link.startswith(("http://", "https://", "mailto:")):
        return None
    target, _, heading = link.partition("#")
    path = (root / name).parent / target if target else root / name
    if not path.exists():
        return "there is no such file"
    page = pages.get(path.resolve().relative_to(root.resolve())) if path.suffix == ".md" else None
    if heading and page and heading not in page.anchors:
        return "there is no such heading"
    return None


def not_in_the_book(root, pages):
    """Every page of docs/ has its place in the table of contents."""
    summary = Path("docs/SUMMARY.md")
    listed = {(root / "docs" / link.partition("#")[0]).resolve() for _, link in pages[summary].links}
    return [f"{name}: is not in {summary}" for name in pages
            if name.parts[0] == "docs" and name != summary and (root / name).resolve() not in listed]
