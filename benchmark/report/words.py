"""Results in words: numbers with their units, and the sentences that stand below a table, on a page and in a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ..contracts.task import ArmName
from ..metrics.scores import AVERAGE
from ..results.rows import (
    FILMS_APART,
    CellRow,
    CheckRow,
    CostRow,
    DataInfo,
    MetricInfo,
    Results,
    SeedRow,
    Status,
    TaskInfo,
    words,
)

NUMBER = re.compile(r"(?<![\w.])-?\d++(?:\.\d++)?+(?:e[-+]?\d++)?+(?![\w.]*\w)")  # not those of names, not "1st"
NEGATIVE = re.compile(r"(?<![\w.)-])-(?=\d)|(?<=\de)-(?=\d)")  # not the hyphens of names
PART = re.compile(r"\bpartial: .+?(?=;|, |$)")  # as importers say it of a download that is not whole
COUNTS = re.compile(r" \([^()]*\btrain\b[^()]*\)")  # of the films of a task's papers, in its summary
OFFICIAL = re.compile(r"\bon the official ")
FEW = 3  # cells that are named one by one
WITHOUT_REAL = (
    "the arm real was not run: gain and worth need copies alone; differences from REAL, their stars, and what a REAL model "
    "says of the films' annotations are not told"
)
PHANTOM = "phantom numbers: not comparable with published numbers"


def shown(value: float | None, metric: MetricInfo, *, signed: bool = False) -> str:
    """A value of a metric as text: percent metrics times 100; an en dash for what is not there."""
    if value is None:
        return "–"
    number = value * 100 if metric.percent else value
    text = f"{number:+.{metric.decimals}f}" if signed else f"{number:.{metric.decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}") if signed else text


def interval(low: float | None, high: float | None, metric: MetricInfo) -> str:
    """Two bounds of a difference; empty without them."""
    if low is None or high is None:
        return ""
    return f"{shown(low, metric, signed=True)} to {shown(high, metric, signed=True)}"


def file_stem(text: str) -> str:
    """The name of a file, without ending: letters, digits, `_`, and one dash for all else between them; `25%` is
    `25-percent`."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text.replace("%", "-percent ")).strip("-") or "figure"


def with_minus(sentence: str) -> str:
    """A sentence as it is kept, its negative numbers with the sign of a minus in place of a hyphen."""
    return NEGATIVE.sub("\N{MINUS SIGN}", sentence)


def probability(p: float | None) -> str:
    """A p-value with two digits; small ones as a bound."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def named_seeds(seeds: Sequence[int]) -> str:
    """`seed 3`, or `seeds 1, 4`."""
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def duration(seconds: float) -> str:
    """Seconds as `h:mm:ss`, `m:ss`, or with a decimal below ten seconds."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def amount(number: float) -> str:
    """A count with a unit prefix: `1.2 M`, `12.3 k`, `312`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:.0f}"


def rate(per_second: float | None) -> str:
    """Films per second."""
    if per_second is None:
        return "–"
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def memory(size: int) -> str:
    """Bytes in GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def films(count: int) -> str:
    """A number of films."""
    return "1 film" if count == 1 else f"{count} films"


def size_title(results: Results, size: str) -> str:
    """A size with its number of real training films: `full (124 films)`; `31 (34 films: whole patients)` where a size that
    is a number has others."""
    count = next(info.films for info in results.sizes if info.size == size)
    whole = ": whole patients" if size.isdecimal() and int(size) != count else ""
    return f"{size} ({films(count)}{whole})"


def metric_title(metric: MetricInfo) -> str:
    """A metric with its unit."""
    return f"{metric.label} {metric.unit}".strip()


# ------------------------------------------------------------------------------------------------------- sentences


def header_sentence(results: Results) -> str:
    """What was run, on what, and which part of a set the films are."""
    phantom = "; not comparable with published numbers" if results.data.phantom else ""
    return (
        f"cxrbench {results.cxrbench} · {results.provider.title} · {results.task.name} v{results.task.version} · "
        f"{preset_words(results.preset, results.changed)} · "
        f"data: {data_words(results.data)}{phantom}"
    )


def data_words(data: DataInfo) -> str:
    """The name of the films, and behind it how much of a set they are where that is not whole."""
    part = PART.search(data.provenance)
    return f"{data.name} ({part[0]})" if part else data.name


def preset_words(preset: str, changed: Sequence[str]) -> str:
    """A preset, and what was set besides: `quick with task.steps=150`."""
    return f"{preset} with {', '.join(changed)}" if changed else preset


def marks(results: Results) -> list[str]:
    """What the stars and deviations of the table mean, and what started from scratch where the paper has weights."""
    lines = []
    counts = sorted({row.n for row in results.paired if row.p is not None})
    if counts:
        rule = results.task.rule
        cases = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        lines.append(
            f"stars are those of the papers, for trained models and not for generators: against REAL on the same {cases} "
            f"{rule.unit}: ** p < 0.01, * p < 0.05 ({rule.marks})"
        )
        lines += [said for said in results.task.remarks if FILMS_APART in said]
    untaught = dict.fromkeys((row.arm, row.structure) for row in results.untaught)
    for arm in dict.fromkeys(arm for arm, _ in untaught):
        names = ", ".join(words(structure) for one, structure in untaught if one == arm)
        lines.append(f"– absent, not zero: the films that {arm.upper()} trains on have no annotation of these: {names}")
    if len(results.seeds) > 1:
        lines.append(f"numbers are means over {len(results.seeds)} seeds; ± is the deviation over seeds")
    return [*lines, *results.from_scratch]


def further_remarks(results: Results) -> list[str]:
    """What the task says of a run, without what `marks` has said."""
    said = marks(results)
    return [remark for remark in results.task.remarks if remark not in said]


def seeds_words(seeds: Sequence[int]) -> str:
    """How many seeds, and which: `1 seed (number 0)`."""
    several, listed = "s" * (len(seeds) != 1), ", ".join(map(str, seeds))
    return f"{len(seeds)} seed{several} (number{several} {listed})"


def protocol_words(task: TaskInfo, data: DataInfo) -> str:
    """What the task measures. Counts and split of its papers' films are said of these films alone; of others, that the same
    rules are applied."""
    if not task.published_data or data.name == task.published_data:
        return task.summary
    return f"{rules_alone(task.summary)}; the films here are {data.name}"


def rules_alone(summary: str) -> str:
    """What a task measures, without counts and split of its papers' films: for other films."""
    return OFFICIAL.sub("as on the official ", COUNTS.sub("", summary))


def kept_larger(data: DataInfo) -> list[str]:
    """That regions are cut from larger films, where they are."""
    if data.original_resolution is None:
        return []
    return [f"what is cut from real films is cut from their originals of {data.original_resolution} pixels"]


def legend(results: Results) -> list[str]:
    """The lines below the table: what the marks mean, where the rest is, and what may be claimed."""
    more = results.task.rule.more
    pointer = [f"{more}, intervals and differences: report.html and tables/tests.csv"] if results.paired else []
    return [*without_real(results), *meaning(results), *pointer, *claims(results)]


def without_real(results: Results) -> list[str]:
    """What a run with gains cannot tell where the arm real was left out."""
    left_out = results.gains and ArmName.REAL.value not in results.arms
    return [WITHOUT_REAL] if left_out else []


def meaning(results: Results) -> list[str]:
    """What the marks and numbers of a table mean, and what must be said of them."""
    return [
        *marks(results),
        *intervals(results),
        *fold_sentences(results),
        *further_remarks(results),
        *kept_larger(results.data),
    ]


def intervals(results: Results) -> list[str]:
    """Where the task gives bounds of its primary metric (`<metric>_low`, `<metric>_high`): the average of each arm with
    them."""
    primary, lines = results.task.metric(results.task.primary), []
    for info in results.sizes:
        said = []
        for arm in results.arms_of(info.size):
            found = [results.row(info.size, arm, f"{primary.name}{end}", AVERAGE) for end in ("", "_low", "_high")]
            values = [shown(row.value, primary) for row in found if row is not None and row.value is not None]
            if len(values) == len(found):
                said.append(f"{arm.upper()} {values[0]} ({values[1]} to {values[2]})")
        if said:
            lines.append(f"average {metric_title(primary)} with 95 % interval, {info.size}: {', '.join(said)}")
    return lines


def fold_sentences(results: Results) -> list[str]:
    """Where the task has folds: how many films train in each, and the test over folds of the primary metric."""
    lines = []
    for info in results.sizes:
        fewer = [
            f"{count} in fold {fold}"
            for fold, count in zip(info.folds, info.fold_films, strict=bool(info.fold_films))
            if count != info.films
        ]
        if fewer:
            lines.append(f"{info.size}: {info.films} real films train in a fold, {', '.join(fewer)}")
    last = results.fold_tests[-1].structure if results.fold_tests else ""  # the average, where there are several
    for row in results.fold_tests:
        if (row.metric, row.structure) == (results.paired_primary, last):
            metric = results.task.metric(row.metric)
            said = f"p = {probability(row.p)}".replace("= <", "<") if row.p is not None else row.note
            lines.append(
                f"over folds{' and seeds' * (len(results.seeds) > 1)} (Nadeau-Bengio, {row.n} pairs), {row.size} "
                f"{row.arm.upper()} − REAL: {metric_title(metric)} {shown(row.difference, metric, signed=True)}, {said}"
            )
    return lines


def claims(results: Results) -> list[str]:
    """What the seeds allow to say about the generator against REAL, where no gain over copies says more; a sentence that
    holds for every row is said once. Nothing where its films show the test films (`leaks`)."""
    return (
        []
        if leaks(results)
        else _of_seeds(results, [row for row in results.seed_tests if results.gain(row.size, row.arm) is None])
    )


def leaks(results: Results) -> list[str]:
    """That films of a provider are films of the test set: then nothing else may be said of its numbers."""
    found = [row for row in results.checks if row.leak]
    if not found:
        return []
    sizes = ", ".join(dict.fromkeys(row.size for row in found))
    copies = re.findall(r"(\d+) copies \(", " ".join(row.sentence for row in found))
    number = in_ranges([f"{one} films" for one in copies]) if copies else "films"
    return [
        f"LEAK: {number} of the provider ({sizes}) are copies of films of the test set: no number on it is a result, and "
        "nothing may be claimed"
    ]


def against_real(results: Results) -> list[str]:
    """Every arm against REAL over seeds, with what that includes besides the films."""
    return _of_seeds(results, results.seed_tests)


def _of_seeds(results: Results, rows: Sequence[SeedRow]) -> list[str]:
    sentences = dict.fromkeys(with_minus(row.sentence) for row in rows)
    if len(sentences) == 1:
        return list(sentences)
    return [
        f"{row.size}, {metric_title(results.task.metric(row.metric))}: {with_minus(row.sentence)}"
        f"{'; includes longer training' if row.arm == ArmName.FINETUNE.value else ''}"
        for row in rows
    ]


def check_notes(results: Results) -> list[tuple[str, str, bool]]:
    """(what was checked, what was found, alarm): one line for all sizes, folds and seeds that found the same, or the same
    but for its numbers, which then become ranges. Of one check the alarms come first."""
    several = {info.size for info in results.sizes if len(info.folds) > 1}
    checks = [*results.checks, *results.film_checks]
    counts = Counter((check.name, check.size) for check in checks)
    groups: dict[tuple[str, str, tuple[str, ...], bool], list[CheckRow]] = {}
    for check in checks:
        text = tuple(NUMBER.split(check.sentence))
        groups.setdefault((check.name, check.size, text, check.alarm), []).append(check)
    lines: dict[str, dict[tuple[bool, str], list[str]]] = {name: {} for name, _ in counts}
    for (name, size, _, alarm), rows in groups.items():
        sentence, number = in_ranges([row.sentence for row in rows]), counts[name, size]
        if len(rows) == number:
            places = [size]
        elif len(rows) <= FEW:
            places = [f"{size}{f' fold {row.fold}' if size in several else ''} seed {row.seed}" for row in rows]
        else:
            places = [f"{size}: {len(rows)} of {number}"]
        lines[name].setdefault((not alarm, sentence), []).extend(places)
    notes = []
    for name, found in lines.items():
        everywhere = [size for known, size in counts if known == name]
        for (calm, sentence), places in sorted(found.items(), key=lambda item: item[0][0]):
            where = "" if places == everywhere else f" ({', '.join(places)})"
            notes.append((f"{name}{where}", sentence, not calm))
    return notes


def in_ranges(sentences: Sequence[str]) -> str:
    """Sentences that differ in their numbers alone as one: `3 of 240` and `5 of 240` are `3 to 5 of 240`."""
    columns = zip(*map(NUMBER.findall, sentences), strict=True)
    spans = (sorted(set(column), key=float) for column in columns)
    texts = iter([span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans])
    return NUMBER.sub(lambda _: next(texts), sentences[0])


def absent(results: Results) -> list[CellRow]:
    """The planned cells that are not there."""
    return [cell for cell in results.cells if cell.status is not Status.DONE]


def absence(cell: CellRow) -> str:
    """One line about a cell that is not there."""
    place = f"{cell.size} {cell.arm} seed {cell.seed}" + (f" fold {cell.fold}" if cell.fold else "")
    return f"{place}: {cell.message}" if cell.message else f"{place}: not computed yet"


def cost_sentence(row: CostRow) -> str:
    """What the provider cost, in one line."""
    parts = [f"{amount(row.parameters)} parameters", f"fit {duration(row.fit_seconds)}"]
    if row.train_images_per_second is not None:
        parts.append(f"trains on {rate(row.train_images_per_second)} films/s")
    parts += [f"samples {rate(row.sample_images_per_second)} films/s", f"peak {memory(row.peak_memory_bytes)}"]
    return " · ".join(parts)
