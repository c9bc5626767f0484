"""What the checker says of honest entries, and how far they are from what it holds for a review.

    CXRBENCH_REAL_DATA=... python -m cxrbench.tests.benchmarks.bench_false_alarms [--entries submissions]

One row for each run of each entry of a folder: findings by level (those of the entry as a whole in each of its rows); of
all pairs of cells that should be trainings of their own, the least share of predictions that differ; of the changes to a
shared cell that are few, the largest share that is right; the most of an error that the lower bound of an arm's
improvement takes away; and the share of its device's peak that its costs need. Before these, of all pairs of an own cell
with any other: how far apart they are at the least (`checks.outline`). Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxrbench.benchmark.contracts.task import ArmName
from cxrbench.leaderboard.arms import REAL, is_shared, label_of, parsed, placebo_of
from cxrbench.leaderboard.checks import check_entry, improbable, timings
from cxrbench.leaderboard.checks.beside_real import LEAST, MOSTLY_RIGHT, Outlines, all_pairs, is_judged, pairs
from cxrbench.leaderboard.checks.finding import Level
from cxrbench.leaderboard.checks.outline import BOXES, MAPS
from cxrbench.leaderboard.checks.subject import Sources, Subject, slot_of
from cxrbench.leaderboard.entry import EntryRun, load_entries

HEAD = (
    "entry",
    "board",
    "errors",
    "reviews",
    f"apart from any other cell (review below {MAPS.least:.1%} {MAPS.words}, {BOXES.least:.0%} {BOXES.words})",
    "pairs of cells",
    f"differ in at least (review below {LEAST:.1%})",
    f"of few changes right (review from {MOSTLY_RIGHT:.0%})",
    "error taken away, lower bound (review above "
    f"{improbable.SHARES[ArmName.SYNTHETIC]:.0%} alone, {improbable.SHARES[ArmName.MIXED]:.0%} beside real)",
    "of the FLOP/s that its device has (review above 100%)",
)


def beside(subject: Subject, run: EntryRun) -> tuple[int, float, float | None]:
    """Pairs compared, the least share of changed predictions, and the largest share of few changes that is right."""
    protocol = subject.protocol(run)
    assert protocol is not None
    count, least, right = 0, 1.0, list[float]()
    for mine, other in pairs(run):
        said, before = (subject.predictions(one.key, run.homes[one.key]) for one in (mine, other))
        found = protocol.task.changes(said, before, subject.test_films(run, protocol, slot_of(mine)))
        if found is None or not found.statements:
            continue
        count, least = count + 1, min(least, found.changed / found.statements)
        if is_shared(label_of(other.cell)) and is_judged(found):
            right.append(found.right / found.judged)
    return count, least, max(right, default=None)


def nearest(subject: Subject, run: EntryRun) -> str:
    """How far apart an own cell and any other are at the least, in words."""
    protocol = subject.protocol(run)
    assert protocol is not None
    outlines = Outlines(subject, run, protocol)
    shares = (outlines.apart(mine, other) for mine, other in all_pairs(run))
    least = min((share for share in shares if share is not None), default=None)
    return "not told" if least is None else f"{least:.1%}"


def taken(run: EntryRun) -> Iterator[tuple[str, float]]:
    """Of every arm and size: the lower bound of the share of an error that it takes away, of REAL or of its placebo."""
    for size in [one.size for one in run.results.sizes]:
        for arm in run.results.arms:
            parts = parsed(arm)
            if arm == REAL or parts is None:
                continue
            ours = improbable.errors_of(run, size, arm)
            for theirs in (improbable.errors_of(run, size, name) for name in (REAL, placebo_of(arm))):
                if min(len(ours), len(theirs)) > 1 and np.mean(theirs) > 0:
                    bound = improbable.share_taken(ours, theirs)[1]
                    yield ("alone" if parts.arm is ArmName.SYNTHETIC else "beside real"), bound


def fastest(run: EntryRun) -> str:
    """The largest share of its device's peak that a time or rate of a run needs; words where no peak is known."""
    found = [found for record in run.records.values() for found in timings.speeds(record)]
    shares = [flops / most for _, _, flops, most in found if most is not None]
    return f"{max(shares):.0%}" if shares else "not known"


def rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """The cells of the table."""
    for entry in load_entries(folder):
        findings = check_entry(folder / entry.name).findings
        subject = Subject(entry, Sources())
        for run in entry.runs:
            levels = Counter(one.level for one in findings if one.where in ("", run.path.name))
            count, least, right = beside(subject, run)
            most: dict[str, float] = {}
            for place, share in taken(run):
                most[place] = max(share, most.get(place, share))
            yield (
                entry.name,
                f"{run.results.task.name}, {run.results.data.name}",
                str(levels[Level.ERROR]),
                str(levels[Level.REVIEW]),
                nearest(subject, run),
                str(count),
                f"{least:.2%}",
                "none" if right is None else f"{right:.0%}",
                ", ".join(f"{share:.0%} {place}" for place, share in most.items()),
                fastest(run),
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=Path, default=Path(__file__).parents[2] / "submissions")
    args = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for row in rows(args.entries):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
