"""What a page of documentation tells people to type: blocks, files, inline code, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHELLS = ("console", "bash", "sh")
ADDRESS = "https://github.com/lm-eval-fr/lm-eval-fr/"  # of the repository: a registry's page shows no relative link

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"#\s*([\w./-]+\.(?:ya?ml|jsonl?))\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block. `file`: the name in a first line such as `# plan.yaml`. `line`: where it begins."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = _FILE.match(self.text.split("\n", 1)[0])
        return found[1] if found and self.language in ("yaml", "json") else None

    @property
    def is_shell(self) -> bool:
        return self.language in SHELLS

    @property
    def runs(self) -> bool:
        return self.is_shell or self.language == "python"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in _FENCE.finditer(text)]


def inline_code(page: Path) -> Iterator[str]:
    yield from _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> Iterator[str]:
    """As they are written, but for those into this repository, which are shown as from its root."""
    for found in _LINK.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        link = found[1] or found[2]
        yield re.sub(rf"^{ADDRESS}(blob|raw|tree)/main/", "", link) if link.startswith(ADDRESS) else link


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    found = re.findall(r"^#{1,6}\s+(.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def script_of(shown: list[Block], before: str = "") -> str:
    """One bash script of the page's commands, in order: variables last, and each block's output can be told apart."""
    parts = ["exec 2>&1", "rm -f page.py", before]
    for number, block in enumerate(shown):
        parts.append(f"echo '@@{number}@@'")
        if block.is_shell:
            parts.append(block.text)
        elif block.language == "python":  # each goes on where the one before it ended
            parts.append(f"cat >> page.py <<'END OF FILE'\n{block.text}\nEND OF FILE\npython page.py")
        elif block.file and not block.file.startswith(".github/"):
            parts.append(f"cat > {block.file} <<'END OF FILE'\n{block.text}END OF FILE")
    return "\n".join(parts) + "\n"


def outputs(printed: str) -> dict[int, str]:
    """What each block printed, by its number."""
    parts = re.split(r"^@@(\d+)@@$", printed, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}
