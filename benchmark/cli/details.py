"""`cxrbench list provider NAME` and `list task NAME`: what one offers, its settings at every preset, how it reads its paper.

All of it is read from files beside its module, so that nothing is imported; a class that has none is asked.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..console_tables import cell, table, tell, terminal_width, wrapped
from ..console_tables import show as show_table
from ..papers import Paper, papers_about
from ..presets import ABOUT, SETTINGS, Table, table_of
from ..registry import find_task
from ..runs.named_provider import named_provider

if TYPE_CHECKING:
    from ..registry import Offer, Plugin

PRESETS = ("quick", "standard", "paper")
WIDTH = 120
LONGEST = 24
"""Characters of a value in the table; the JSON has all of it."""


@dataclass(frozen=True)
class Details:
    """What is shown of a provider or task."""

    name: str
    kind: str
    about: str
    annotations: tuple[str, ...]
    settings: Table
    papers: tuple[Paper, ...]


def details_of(kind: str, name: str) -> Details:
    """Of a provider (by name, path, folder or command) or a task; InputError where there is none."""
    provider = kind == "provider"
    plugin = named_provider(name) if provider else find_task(name)
    offer: Offer = provider_offer(plugin) if provider else task_offer(plugin)
    written: Table | None = plugin.written(SETTINGS)
    if written is None:
        written = _asked(plugin) if provider else table_of(plugin.load())
    papers = () if plugin.argument else tuple(papers_about(plugin.source().parent, plugin.name))
    return Details(plugin.name, kind, offer.summary, offer.annotations, written, papers)


def provider_offer(plugin: Plugin) -> Offer:
    """What a provider offers: as its package wrote it down, else as its class says in a process of its own."""
    from ..registry import Offer

    if (written := plugin.said()) is not None:
        return written
    from ..runs.asked import ask_provider
    from ..runs.own_store import home_store

    said = ask_provider(plugin, "quick", (), home_store())
    return Offer(said.summary, said.produces)


def task_offer(plugin: Plugin) -> Offer:
    """What a task needs, and its line."""
    from ..registry import Offer

    if (written := plugin.said()) is not None:
        return written
    from ..runs.examine import task_class

    cls = task_class(plugin)
    return Offer(cls.summary, (cls.needs.value,))


def _asked(plugin: Plugin) -> Table:
    """The settings of a provider without a file of them, asked of its class in a process of its own."""
    from ..errors import CxrbenchError
    from ..runs.asked import ask_provider
    from ..runs.own_store import home_store

    table: Table = {}
    for preset in PRESETS:
        try:
            said = ask_provider(plugin, preset, (), home_store())
        except CxrbenchError:  # it has no such preset, or cannot be used: the list above says why
            continue
        for key, value in _flat(said.settings).items():
            table.setdefault(key, {ABOUT: ""})[preset] = value
    return table


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def as_json(details: Details) -> str:
    """Everything, values in full."""
    return json.dumps(asdict(details), indent=1)


def show(details: Details) -> None:
    """Print it for people."""
    width = terminal_width() or WIDTH
    what = "makes" if details.kind == "provider" else "needs"
    tell(f"{details.name}: {details.about}\n{what}: {', '.join(details.annotations) or 'films alone'}\n")
    if details.settings:
        presets = [one for one in PRESETS if any(one in row for row in details.settings.values())]
        prefix = "" if details.kind == "provider" else "task."
        made = table([f"--set {prefix}...", *presets, ""], left=1)
        made.columns[-1].justify = "left"
        for key, row in details.settings.items():
            made.add_row(cell(key), *(cell(_short(row.get(one))) for one in presets), cell(row[ABOUT]))
        show_table(made, width=width)
        if any(len(_text(row.get(one))) > LONGEST for row in details.settings.values() for one in presets):
            tell("... stands for the rest of a long value: --json shows all of it")
        tell()
    for paper in details.papers:
        _show_paper(paper, width)


def _text(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _show_paper(paper: Paper, width: int) -> None:
    tell(paper.title)
    for row in paper.rows:
        lines = [f"the paper: {row.paper}", f"here: {row.here}", f"why: {row.why}"]
        lines += [f"the other reading: {row.setting}"] if row.setting else []
        for number, line in enumerate(lines):
            start = f"  {row.key:<4} " if not number else " " * 7
            tell(wrapped(start + line, width, below=9))
    for one in paper.printed:
        tell(wrapped(f"  as printed: {one.what}", width))
    tell()
