"""What stands in a Markdown file: headings with their anchors, links, and fenced blocks with the remark before them."""

import re
from dataclasses import dataclass

FENCE = re.compile(r"^(\s*)```(\S*)\s*$")
REMARK = re.compile(r"^<!--\s*(.*?)\s*-->$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")


@dataclass
class Block:
    """A fenced block: its language, its text, the line of its fence, and the HTML comment in the line before it."""

    page: str
    line: int
    language: str
    text: str
    remark: str

    def place(self):
        return f"{self.page}:{self.line}"


@dataclass
class Page:
    """`links` are (line, target)."""

    blocks: list
    links: list
    anchors: set


def read(path, shown):
    """Read a file; `shown` is how it is called in messages."""
    page, seen, fence, remark = Page([], [], set()), {}, None, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = FENCE.match(line)
        if fence:
            if found and not found[2]:
                page.blocks.append(fence)
                fence, remark = None, ""
            else:
                fence.text += line.removeprefix(indent) + "\n"
        elif found:
            indent = found[1]
            fence = Block(shown, number, found[2], "", remark)
        else:
            if line.startswith("#"):
                page.anchors.add(unique(anchor(line.lstrip("#")), seen))
            page.anchors.update(re.findall(r'(?:id|name)="([^"]+)"', line))
            page.links += [(number, target) for target in LINK.findall(re.sub(r"`[^`]*`", "", line))]
            found = REMARK.match(line.strip())
            remark = found[1] if found else remark if not line.strip() else ""
    if fence:
        raise SystemExit(f"{fence.place()}: this block has no end")
    return page


def anchor(heading):
    """The anchor of a heading, as GitHub and mdBook make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def unique(name, seen):
    """The second heading of the same text is called text-1."""
    seen[name] = seen.get(name, -1) + 1
    return name if seen[name] == 0 else f"{name}-{seen[name]}"
