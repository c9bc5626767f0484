"""Times of `bench_hot_paths.py` beside the committed baseline, as ratios to a reference kernel of the same run.

    python tests/benchmarks/compare.py now.json [--baseline FILE] [--save]

A difference is named where both hold: the quartiles of the two do not overlap, and the medians differ by more than a tenth.
It is for reading; the exit status says only whether the files could be read. `--save` writes the baseline instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
BASELINE = Path(__file__).with_name("baseline.json")
EFFECT = 1.1


class WrongFile(Exception):
    """A file that is not what was expected; one line."""


@dataclass(frozen=True)
class Timing:
    """Calls of the reference kernel that a benchmark takes: median and quartiles over rounds; `seconds` on its machine."""

    median: float
    low: float
    high: float
    reference: str
    seconds: float


@dataclass(frozen=True)
class Line:
    """A benchmark beside its baseline; `ratio` above 1 is slower. None where one of the two is missing."""

    name: str
    now: Timing | None
    before: Timing | None

    @property
    def ratio(self) -> float | None:
        """Now divided by before."""
        return self.now.median / self.before.median if self.now and self.before else None

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.now is None or self.before is None:
            return "gone" if self.now is None else "new"
        if self.now.reference != self.before.reference:
            return "another reference"
        if self.now.median > EFFECT * self.before.median and self.now.low > self.before.high:
            return "slower"
        if self.before.median > EFFECT * self.now.median and self.now.high < self.before.low:
            return "faster"
        return ""


def read_run(path: Path) -> tuple[dict[str, Timing], dict[str, str]]:
    """Timings by name, and the machine, of what pytest-benchmark wrote."""
    found = _json(path)
    try:
        timings = {one["name"]: _timing(one) for one in found["benchmarks"]}
        cpu = found["machine_info"].get("cpu", {}).get("brand_raw") or found["machine_info"]["machine"]
        machine = {"cpu": cpu, "python": found["machine_info"]["python_version"], "created": found["datetime"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise WrongFile(f"{path}: not what bench_hot_paths.py writes with --benchmark-json (no {error})") from None
    return timings, machine


def _timing(one: dict[str, Any]) -> Timing:
    ratios = one["extra_info"]["ratios"]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    seconds = one["stats"]["median"] / one["extra_info"]["calls"]
    return Timing(statistics.median(ratios), low, high, one["extra_info"]["reference"], seconds)


def read_baseline(path: Path) -> tuple[dict[str, Timing], dict[str, str]]:
    """Timings by name, and the machine, of a baseline."""
    found = _json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise WrongFile(f"{path}: expected a baseline of schema {SCHEMA}; make one with --save")
    return {name: Timing(**values) for name, values in found["benchmarks"].items()}, found["machine"]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WrongFile(f"{path}: {error}") from None


def baseline_text(timings: dict[str, Timing], machine: dict[str, str]) -> str:
    """A baseline as it is kept: a line a benchmark."""
    rows = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps({key: _short(value) for key, value in asdict(timing).items()})}"
        for name, timing in sorted(timings.items())
    )
    head = f'{{\n "schema": {SCHEMA},\n "machine": {json.dumps(machine)},\n "benchmarks": {{\n'
    return f"{head}{rows}\n }}\n}}\n"


def _short(value: object) -> object:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def compare(now: dict[str, Timing], before: dict[str, Timing]) -> list[Line]:
    """All benchmarks of either, those of this run first."""
    return [Line(name, now.get(name), before.get(name)) for name in dict.fromkeys([*now, *before])]


def table(lines: list[Line]) -> str:
    """The lines as text."""
    width = max((len(line.name) for line in lines), default=0)
    rows = [f"{'':{width}}  {'now':>10}  {'spread':>7}  {'baseline':>10}  {'ratio':>6}"]
    for line in lines:
        now, before = line.now, line.before
        spread = f"{100 * (now.high - now.low) / now.median:.0f} %" if now else "–"
        ratio = "–" if line.ratio is None else f"{line.ratio:.2f}"
        values = [f"{one.median:.4g}" if one else "–" for one in (now, before)]
        rows.append(f"{line.name:{width}}  {values[0]:>10}  {spread:>7}  {values[1]:>10}  {ratio:>6}  {line.verdict}")
    return "\n".join(row.rstrip() for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description="Times of bench_hot_paths.py beside the baseline.")
    parser.add_argument("run", type=Path, help="what pytest wrote with --benchmark-json")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--save", action="store_true", help="write the baseline instead of comparing with it")
    asked = parser.parse_args(arguments)
    try:
        now, machine = read_run(asked.run)
        if asked.save:
            asked.baseline.write_text(baseline_text(now, machine), encoding="utf-8")
            print(f"{len(now)} benchmarks: {asked.baseline}")
            return 0
        before, older = read_baseline(asked.baseline)
    except WrongFile as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"in calls of the reference kernel; now {machine['cpu']}, baseline {older['cpu']} ({older['created'][:10]})")
    print(table(compare(now, before)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
