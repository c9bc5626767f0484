"""The kept fingerprints of all trainings, `tests/regression/fingerprints.json` (what they are: `benchmark.fingerprint`).

On the machine and packages that they were taken on they are the same bit for bit. Elsewhere a number may differ by its
tolerance, as a share: five times the largest difference that was measured between this processor's best instructions and
its plainest (`PLAIN`) among the numbers of its kind (gradients, or the rest) of its subject, and 1e-5 at the least.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from ...benchmark.errors import CxrbenchError, InputError
from ...benchmark.files import write_text
from ...benchmark.home import home
from ...benchmark.processes import surroundings
from ...benchmark.registry import PROVIDERS, TASKS, find_provider, find_task, plugins
from ...benchmark.runs.record import Environment
from ...benchmark.schema import Strict
from .numbers import FINGERPRINTS, Change
from .rerun import Verdict
from .take import Fingerprint, Fingerprints

SCHEMA = 1
FLOOR, FACTOR = 1e-5, 5.0
SMALLEST = 1e-6
"""Numbers below it are compared as if they were it."""
PLAIN = (
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
)
"""Environments in which torch computes as older processors do."""
SECONDS = 1800.0


class KeptFingerprint(Strict):
    """The fingerprint of a subject: its numbers, the tolerance of each, the digest of weights, the version of its protocol
    (None for a provider), and the digests of the changelog's lines that named it then."""

    version: int | None
    lines: list[str]
    digest: str
    numbers: dict[str, tuple[float, float]]


class KeptFingerprints(Strict):
    """The content of `fingerprints.json`."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    films: str
    environment: Environment
    processor: str
    history: list[Change]
    subjects: dict[str, KeptFingerprint]


def own_subjects() -> list[str]:
    """The providers and tasks of this package."""
    package = __name__.partition(".")[0]
    kinds = (("provider", PROVIDERS), ("task", TASKS))
    return [
        f"{kind}:{name}"
        for kind, group in kinds
        for name, plugin in plugins(group).items()
        if plugin.module.partition(".")[0] == package
    ]


def version_of(subject: str) -> int | None:
    """The protocol version of a task's subject; None of a provider."""
    kind, _, words = subject.partition(":")
    return int(find_task(words.split()[0]).load().version) if kind == "task" else None


def check_subject(subject: str) -> str:
    """The subject. InputError where there is none of this name."""
    kind, _, words = subject.partition(":")
    if kind not in ("provider", "task") or not words.split():
        raise InputError(f"'{subject}' is no subject: expected provider:NAME or task:NAME, with key=value behind it")
    (find_provider if kind == "provider" else find_task)(words.split()[0])
    return subject


# ------------------------------------------------------------------------------------------------------------- measuring


def measure(subjects: Sequence[str], instructions: Mapping[str, str] | None = None) -> Fingerprints:
    """Take fingerprints in a process of its own, one thread, which sees the drawn phantoms of this home and nothing else of
    it. `instructions`: variables for the libraries."""
    module = f"{__package__}.take"
    with tempfile.TemporaryDirectory(prefix="cxrbench-fingerprint-") as scratch:
        own = Path(scratch) / "home"
        datasets = home() / "datasets"
        datasets.mkdir(parents=True, exist_ok=True)
        own.mkdir()
        (own / "datasets").symlink_to(datasets.resolve(), target_is_directory=True)
        out = Path(scratch) / "fingerprints.json"
        environment = surroundings(1) | {"CXRBENCH_HOME": str(own)} | dict(instructions or {})
        done = subprocess.run(
            [sys.executable, "-m", module, str(out), *subjects],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if not out.is_file():
            said = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
            raise CxrbenchError(f"fingerprints could not be taken (exit code {done.returncode}): {said[0]}")
        return Fingerprints.model_validate_json(out.read_bytes())


def difference(found: float, kept: float) -> float:
    """How far a number is from another, as a share of it."""
    return abs(found - kept) / max(abs(kept), SMALLEST)


def _kind(name: str) -> str:
    return "gradient" if ": gradient" in name else "other"


def tolerances(best: Fingerprint, plain: Sequence[Fingerprint]) -> dict[str, float]:
    """The tolerance of every number, from the differences to what plainer instructions give (see above)."""
    largest: dict[str, float] = {}
    for other in plain:
        for name, value in best.numbers.items():
            seen = difference(other.numbers[name], value) if name in other.numbers else 0.0
            largest[_kind(name)] = max(largest.get(_kind(name), 0.0), seen)
    return {name: float(f"{max(FLOOR, FACTOR * largest.get(_kind(name), 0.0)):.2g}") for name in best.numbers}


# ------------------------------------------------------------------------------------------------------------- comparing


def read_fingerprints(folder: Path) -> KeptFingerprints | None:
    """The kept ones; None where there are none. InputError says what is wrong with the file."""
    path = folder / FINGERPRINTS
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_bytes())
        if isinstance(raw, dict) and raw.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema {raw.get('schema')}, this version reads {SCHEMA}")
        return KeptFingerprints.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def same_bits(kept: KeptFingerprints, found: Fingerprints) -> bool:
    """Whether both were taken on the same kind of processor with the same packages and threads."""
    a, b = kept.environment, found.environment
    return kept.processor == found.processor and all(
        getattr(a, name) == getattr(b, name) for name in ("device", "threads", "packages")
    )


def compare(kept: KeptFingerprints, found: Fingerprints) -> list[Verdict]:
    """A verdict for each subject that was found or is kept."""
    exact = same_bits(kept, found) and kept.films == found.films
    verdicts = []
    for subject in dict.fromkeys([*kept.subjects, *found.subjects]):
        old, new = kept.subjects.get(subject), found.subjects.get(subject)
        if new is None:
            continue
        if new.error:
            moved = [f"no fingerprint: {new.error}"]
        elif old is None:
            moved = ["no fingerprint is kept; take it with `cxrbench regress --update`"]
        else:
            moved = list(moved_numbers(old, new))
            if exact and not moved and (new.digest != old.digest or _values(old) != new.numbers):
                moved = ["within its tolerances, but not the same bits on the same processor and packages"]
            if moved and kept.films != found.films:
                moved.insert(0, "the films that it is taken on are others")
        how = "bit for bit (same processor and packages)" if exact else "within measured tolerances"
        verdicts.append(Verdict(subject, "fingerprint", len(new.numbers), how, tuple(moved)))
    return verdicts


def _values(kept: KeptFingerprint) -> dict[str, float]:
    return {name: value for name, (value, _) in kept.numbers.items()}


def moved_numbers(kept: KeptFingerprint, found: Fingerprint) -> Iterator[str]:
    """A sentence for each number that is beyond its tolerance, absent or new."""
    for name, (value, tolerance) in kept.numbers.items():
        if name not in found.numbers:
            yield f"{name}: kept {value:.8g}, now absent"
        elif difference(found.numbers[name], value) > tolerance:
            yield f"{name}: kept {value:.8g} (+- {tolerance:.0e} of it), now {found.numbers[name]:.8g}"
    yield from (f"{name}: not kept, and now there" for name in found.numbers if name not in kept.numbers)


def check_fingerprints(folder: Path, subjects: Sequence[str] = ()) -> list[Verdict]:
    """Take the fingerprints of the given subjects (of all that are kept and all of this package) and compare."""
    kept = read_fingerprints(folder)
    if kept is None:
        raise InputError(f"{folder / FINGERPRINTS} is missing; take it with `cxrbench regress --update --reason TEXT`")
    start = time.perf_counter()
    wanted = [check_subject(one) for one in subjects] or list(dict.fromkeys([*kept.subjects, *own_subjects()]))
    verdicts = compare(kept, measure(wanted))
    share = (time.perf_counter() - start) / max(1, len(verdicts))
    return [Verdict(**(vars(one) | {"seconds": share})) for one in verdicts]


def write_fingerprints(folder: Path, kept: KeptFingerprints) -> Path:
    """Write the file, one number a line."""
    path = folder / FINGERPRINTS
    value = kept.model_dump(mode="json", by_alias=True)
    subjects = value.pop("subjects")
    blocks = []
    for subject, one in sorted(subjects.items()):
        numbers = [
            f"    {json.dumps(name)}: {json.dumps(pair, allow_nan=False)}" for name, pair in one.pop("numbers").items()
        ]
        head = json.dumps(one)[1:-1]
        blocks.append(f'  {json.dumps(subject)}: {{{head}, "numbers": {{\n' + ",\n".join(numbers) + "\n  }}")
    head = json.dumps(value, indent=1, allow_nan=False)
    write_text(path, head.removesuffix("\n}") + ',\n "subjects": {\n' + ",\n".join(blocks) + "\n }\n}\n")
    return path
