"""Shows a `Progress` on stderr: a bar with the time left on a terminal, plain lines elsewhere; nothing for
short work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..console_tables import tell, terminal_width
from ..progress import Progress
from .display import clock

_QUIET_SECONDS = 2.0  # work shorter than this shows nothing
_LINE_SECONDS = 10.0  # between plain lines
_TOLD = 0.05  # share of the work from which on its pace says how long the rest takes


@contextmanager
def shown_progress(title: str) -> Iterator[Progress]:
    """A Progress whose updates are shown under `title` while the block runs."""
    if sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield Progress(_Lines(title).update)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(5, min(40, (terminal_width(sys.stderr) or 100) - 60))),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
        transient=True,
    )
    start = time.monotonic()
    shown: list[TaskID] = []

    def update(fraction: float, note: str) -> None:
        if not shown:
            if time.monotonic() - start < _QUIET_SECONDS:
                return
            bars.start()
            shown.append(bars.add_task(title, total=1.0, left=""))
        left = _left(time.monotonic() - start, fraction)
        bars.update(shown[0], completed=fraction, description=f"{title}  {note}", left=left)

    try:
        yield Progress(update)
    finally:
        bars.stop()


class _Lines:
    """A plain line every few seconds, with the time left at the pace so far."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.start = time.monotonic()
        self.next = self.start + _QUIET_SECONDS

    def update(self, fraction: float, note: str) -> None:
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + _LINE_SECONDS
        left = _left(now - self.start, fraction)
        tell(f"{self.title}: {note} {100 * fraction:.0f} %{', ' if left else ''}{left}", sys.stderr)


def _left(spent: float, fraction: float) -> str:
    """The time left at the pace so far; nothing while too little is done to tell: the first part of some work is slow."""
    return f"{clock(spent * (1 - fraction) / fraction)} left" if fraction >= _TOLD else ""
