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

_QUIET_SECONDS = 2.0  # work shorter than this shows nothing
_LINE_SECONDS = 10.0  # between plain lines


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
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(5, min(40, (terminal_width(sys.stderr) or 100) - 60))),
        TaskProgressColumn(),
        TimeRemainingColumn(),
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
            shown.append(bars.add_task(title, total=1.0))
        bars.update(shown[0], completed=fraction, description=f"{title}  {note}")

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
        left = (now - self.start) * (1 - fraction) / fraction if fraction > 0 else 0.0
        end = f", {left:.0f} s left" if fraction > 0 else ""
        tell(f"{self.title}: {note} {100 * fraction:.0f} %{end}", sys.stderr)
