"""The progress of a run in a notebook: one line that is written anew. Elsewhere a run shows itself as on the command
line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from ..cli.display import POLL_SECONDS, Watcher, clock
from ..cli.progress_bar import shown_progress
from ..progress import Progress

if TYPE_CHECKING:
    from ..runs.request import Prepared

SHOWN_AFTER = 0.5
"""Seconds between two writings of the line."""


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    import sys

    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython  # type: ignore[attr-defined, unused-ignore]

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class _Line:
    """A line of HTML below the cell that is replaced."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)
        self._last = ""

    def show(self, fraction: float, text: str) -> None:
        """A bar that is full to `fraction` (0 to 1), and a text."""
        made = f'<progress value="{fraction:.3f}" max="1"></progress> {escape(text)}'
        if made != self._last:
            self._last = made
            self._handle.update(self._html(made))

    def end(self, text: str) -> None:
        """The last text, without a bar."""
        self._handle.update(self._html(escape(text)))


class NotebookWatcher(Watcher):
    """Shows the steps of a run in a notebook."""

    shows_tables = False

    def show_here(self, line: _Line) -> None:
        """Write the line anew until the run has ended."""
        import time

        began, shown = time.monotonic(), 0.0
        while not self._end.wait(POLL_SECONDS):
            self.poll()
            if time.monotonic() - shown > SHOWN_AFTER:
                shown = time.monotonic()
                over = sum(1.0 if state.finished else state.fraction for state in self.states)
                running = [state.step.label for state in self.states if state.started and not state.finished]
                line.show(over / max(len(self.states), 1), " · ".join([self.summary(), *running[:3]]))
        line.end(f"{len(self.states)} steps in {clock(time.monotonic() - began)}")

    @contextmanager
    def showing(self) -> Iterator[None]:
        import threading

        line = _Line()
        thread = threading.Thread(target=self.show_here, args=(line,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()


class _Silent(Watcher):
    @contextmanager
    def showing(self) -> Iterator[None]:
        yield


def watcher_of(prepared: Prepared, *, shown: bool) -> Watcher:
    """What shows the steps of a run here."""
    if not shown:
        return _Silent(prepared)
    return NotebookWatcher(prepared) if in_notebook() else Watcher(prepared)


@contextmanager
def preparing(*, shown: bool) -> Iterator[Progress]:
    """A Progress for what comes before the steps: films that are drawn or read."""
    if not shown:
        yield Progress()
    elif not in_notebook():
        with shown_progress("preparing films") as progress:
            yield progress
    else:
        line = _Line()
        yield Progress(lambda fraction, note: line.show(fraction, f"preparing films  {note}"))
        line.end("")


def show_figures() -> None:
    """A notebook shows matplotlib's figures from the moment that it is told to."""
    if in_notebook():
        from IPython import get_ipython  # type: ignore[attr-defined, unused-ignore]
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(get_ipython(), {"png"})
