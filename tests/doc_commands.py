"""The commands of the documentation, as a test runs them.

A comment before a fenced block says what becomes of it: `<!-- run: cwd=NAME -->` runs its lines in a folder of that name,
`<!-- start: ... -->` starts them, and ends them with the page, `<!-- file: NAME/x.py -->` writes it there, `<!-- output:
NAME/x -->` is what a file there must hold. `short` makes trainings of a few steps, `seeds`, `sizes`, `arms` cut a run down,
`needs` names what lies in the repository, `rc` the exit status.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHORT = "--device cpu --set task.steps=6 --set task.check_every=2 --set task.synthetic=24"
_BLOCK = re.compile(r"^<!-- (run|start|file|output): *(.*?) *-->\n```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"(<!-- (?:run|start|file|output):[^\n]*-->\n)?^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block that something becomes of."""

    kind: str
    text: str
    place: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def commands(self) -> Iterator[list[str]]:
        """Its lines as words, those that train made short."""
        for line in self.text.splitlines():
            words = shlex.split(line)
            if words[:2] in (["cxrbench", "run"], ["cxrbench", "curve"]) and "short" in self.options:
                cut = [f"--{name}={self.options[name]}" for name in ("seeds", "sizes", "arms") if name in self.options]
                words += [*SHORT.split(), *cut]
            yield words


def blocks(page: Path) -> list[Block]:
    """The marked blocks of a page, in order."""
    found = []
    for kind, said, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind in ("run", "start"):
            options = dict(part.partition("=")[::2] for part in said.split())
            found.append(Block(kind, text, options.pop("cwd", "here"), options))
        else:
            found.append(Block(kind, text, said))
    return found


def unmarked(page: Path) -> list[str]:
    """The commands of a page that nothing runs."""
    found = []
    for mark, language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if not mark and language == "":
            found += [line for line in text.splitlines() if line.startswith("cxrbench ")]
    return found
