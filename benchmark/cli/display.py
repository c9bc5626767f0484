"""Shows a run while it goes: bars with the time left on a terminal, plain lines where there is none."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..console_tables import tell, terminal_width
from ..plain_files import read_plain

if TYPE_CHECKING:
    from ..runs.job import Step
    from ..runs.request import Prepared

POLL_SECONDS = 0.25
TOLD = 0.05
"""Share of a step from which on its own pace says how long it takes."""
LINE_SECONDS = 20.0


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, seconds_left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"


def long(seconds: float) -> str:
    """Seconds with units, for a time that does not run: 40 s, 2 min 50 s, 1 h 2 min."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


@dataclass
class _State:
    """What is known of one step while it runs."""

    step: Step
    expected: float | None
    started: float = 0.0
    ended: float = 0.0
    fraction: float = 0.0
    note: str = ""
    finished: bool = False

    def seconds_left(self, now: float, pace: float = 1.0, like: float | None = None) -> float | None:
        """By its own pace once that can be told, else by how long such a step took before, times the pace of this run; where
        none was there before, by what others `like` it take in this run."""
        if self.finished:
            return 0.0
        spent = now - self.started if self.started else 0.0
        if self.started and self.fraction > TOLD:
            return spent * (1 - self.fraction) / self.fraction
        expected = like if self.expected is None else self.expected * pace
        return None if expected is None else max(expected - spent, 0.0)

    def takes(self, now: float) -> float | None:
        """Seconds in all, of a step that is over or whose pace can be told."""
        if not self.started:
            return None
        spent = (self.ended if self.finished else now) - self.started
        return spent if self.finished else spent / self.fraction if self.fraction > TOLD else None

    def end(self, now: float) -> None:
        """It is over."""
        if not self.finished:
            self.finished, self.ended = True, now


def pace_of(states: Sequence[_State], now: float) -> float:
    """How many times as long as expected the steps of this run take, 1 until something can be told. What was expected
    counts as one more step, so that a single short one does not turn the estimate over."""
    spent = planned = 0.0
    for state in states:
        done = 1.0 if state.finished else state.fraction
        if state.started and state.expected and done > TOLD:
            spent += (state.ended or now) - state.started
            planned += state.expected * done
    known = [state.expected for state in states if state.expected]
    prior = sum(known) / max(len(known), 1)
    return (spent + prior) / (planned + prior) if planned else 1.0


def alike(states: Sequence[_State], now: float) -> list[float | None]:
    """What steps of which nothing was known take in this run: the mean of those of the same name (timings.json), or else of
    the same kind and provider at other sizes; None where nothing is told yet or something was known."""
    by_name: dict[tuple[str, ...], list[float]] = {}
    unknown = [state for state in states if state.expected is None]
    for state in unknown:
        if (seconds := state.takes(now)) is not None:
            for name in _names(state.step):
                by_name.setdefault(name, []).append(seconds)
    found: dict[int, float] = {}
    for state in unknown:
        same = next((by_name[name] for name in _names(state.step) if name in by_name), None)
        if same is not None:
            found[id(state)] = sum(same) / len(same)
    return [found.get(id(state)) for state in states]


def _names(step: Step) -> tuple[tuple[str, ...], ...]:
    """What a step is remembered by, the narrowest first."""
    from ..runs.schedule import timing_name

    parts = tuple(timing_name(step).split("/"))
    return parts, (*parts[:3], step.cell.arm)


@dataclass
class Watcher:
    """Reads the progress files of running steps and shows them from a thread of its own."""

    shows_tables: ClassVar[bool] = True
    """Whether the first table is printed above it (`so_far`)."""
    prepared: Prepared
    states: list[_State] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.states = [_State(step, self.prepared.schedule.expected[step.key]) for step in self.prepared.left]
        self._chains = [
            [state for state in self.states if any(state.step is step for step in chain)]
            for chain in self.prepared.schedule.chains
        ]

    def poll(self) -> None:
        """Take what the steps wrote since the last look; a step is over when the next of its chain has begun."""
        now = time.monotonic()
        for chain in self._chains:
            active = -1
            for index, state in enumerate(chain):
                found = _read(self.prepared.store.progress(state.step.key))
                if found is not None:
                    state.started = state.started or now
                    state.fraction, state.note = found
                    active = index
            for state in chain[: max(active, 0)]:
                state.end(now)

    def finish(self, keys: Sequence[str]) -> None:
        """Mark steps whose outcome is known."""
        now = time.monotonic()
        for state in self.states:
            if state.step.key in keys:
                state.end(now)
                state.fraction = 1.0

    def left(self) -> tuple[float, bool]:
        """Time left over all steps and jobs, and whether it is all: not while a step's duration is unknown."""
        now = time.monotonic()
        pace = pace_of(self.states, now)
        pairs = zip(self.states, alike(self.states, now), strict=True)
        left = [state.seconds_left(now, pace, like) for state, like in pairs]
        by_step = {id(state): value or 0.0 for state, value in zip(self.states, left, strict=True)}
        longest = max((sum(by_step[id(state)] for state in chain) for chain in self._chains), default=0.0)
        return max(longest, sum(by_step.values()) / self.prepared.jobs), None not in left

    def summary(self) -> str:
        """One line: how many steps are over, and the time left."""
        over = sum(state.finished for state in self.states)
        left, all_known = self.left()
        said = f"{clock(left)} left" if all_known else f"more than {clock(left)} left" if left else "time left unknown"
        return f"{over}/{len(self.states)} steps · {said}"

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show the steps while the block runs."""
        show = self._bars if sys.stderr.isatty() else self._lines
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _lines(self) -> None:
        shown = time.monotonic()
        begun: set[int] = set()
        over: set[int] = set()
        while not self._end.wait(POLL_SECONDS):
            self.poll()
            for state in self.states:
                if state.started and id(state) not in begun:
                    begun.add(id(state))
                    _say(f"  {state.step.label}: started · {self.summary()}")
                if state.finished and id(state) not in over:
                    over.add(id(state))
                    _say(f"  {state.step.label}: over · {self.summary()}")
            if time.monotonic() - shown > LINE_SECONDS:
                shown = time.monotonic()
                running = [s for s in self.states if s.started and not s.finished]
                text = ", ".join(f"{s.step.label} {100 * s.fraction:.0f} % ({s.note})" for s in running)
                _say(f"  {self.summary()} · {text}")

    def _bars(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn

        columns = (
            TextColumn("  {task.description:<24}"),
            BarColumn(bar_width=max(4, min(24, (terminal_width(sys.stderr) or 100) - 76))),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[left]:>8}  {task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bars:
            total = bars.add_task("all steps", total=1.0, left="", note="")
            tasks: dict[int, TaskID] = {}
            while not self._end.wait(POLL_SECONDS):
                self.poll()
                now = time.monotonic()
                pace = pace_of(self.states, now)
                for state, like in zip(self.states, alike(self.states, now), strict=True):
                    if state.started and id(state) not in tasks:
                        tasks[id(state)] = bars.add_task(state.step.label, total=1.0, left="", note="")
                    if id(state) in tasks:
                        left = state.seconds_left(now, pace, like)
                        bars.update(
                            tasks[id(state)],
                            completed=1.0 if state.finished else state.fraction,
                            left="" if left is None or state.finished else clock(left),
                            note="" if state.finished else state.note,
                            visible=not state.finished,
                        )
                fraction = sum(1.0 if s.finished else s.fraction for s in self.states) / max(len(self.states), 1)
                bars.update(total, completed=fraction, note=self.summary())


def _say(line: str) -> None:
    tell(line, sys.stderr)


def _read(path: Path) -> tuple[float, str] | None:
    try:
        fraction, note = json.loads(read_plain(path))
        return float(fraction), str(note)
    except (OSError, ValueError, TypeError):
        return None
