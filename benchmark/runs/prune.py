"""Removing what a store can do without: by age, to a size, or what nothing names. Records are results and stay, unless they
are asked for; all else can be made again. Never while a run works on the store (`lock.alone`)."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .kept import Kept, Kind
from .store import Store

DAY = 86400.0
GRACE = 7 * DAY
"""Fits, films and checkpoints that no record names may be of a run that was interrupted: the younger ones stay."""
ORDER = (
    Kind.DRAFTS,
    Kind.PROGRESS,
    Kind.DESCRIBED,
    Kind.FAILURES,
    Kind.CHECKPOINTS,
    Kind.MOMENTS,
    Kind.FURTHER,
    Kind.AUDITS,
    Kind.FITS,
    Kind.SYNTHETIC,
    Kind.RECORDS,
)
"""What goes first where a size is to be reached; within a kind what nothing names, then the oldest."""
_SECONDS = {"": DAY, "d": DAY, "h": 3600.0, "m": 60.0, "s": 1.0, "w": 7 * DAY}
_BYTES = {"": 1, "b": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True)
class Wish:
    """What may go. `older`: of at least that age in seconds; `to`: only until the store has that many bytes; `unreachable`:
    only what no record names (and of records what no run names); `records`: records too."""

    older: float | None = None
    to: int | None = None
    unreachable: bool = False
    records: bool = False
    kinds: tuple[Kind, ...] = ()


def choose(entries: Sequence[Kept], wish: Wish, now: float) -> list[Kept]:
    """What goes, in the order of going. InputError where nothing is wished."""
    if wish.older is None and wish.to is None and not wish.unreachable:
        raise InputError("say what may go: --unreachable, --older 30d, --to 20GB, or several of them")
    may_go = sorted(
        (entry for entry in entries if _may_go(entry, wish, now)),
        key=lambda entry: (ORDER.index(entry.kind), entry.reachable, entry.made),
    )
    if wish.to is None:
        return may_go
    left, going = sum(entry.size for entry in entries), []
    for entry in may_go:
        if left <= wish.to:
            break
        going.append(entry)
        left -= entry.size
    return going


def _may_go(entry: Kept, wish: Wish, now: float) -> bool:
    if entry.kind is Kind.RECORDS and not wish.records:
        return False
    if wish.kinds and entry.kind not in wish.kinds:
        return False
    if wish.older is not None and now - entry.made < wish.older:
        return False
    if not wish.unreachable:
        return True
    if entry.kind is Kind.RECORDS:
        return not entry.runs
    grace = entry.kind in (Kind.FITS, Kind.SYNTHETIC, Kind.CHECKPOINTS) and wish.older is None
    return not entry.reachable and not (grace and not entry.over and now - entry.made < GRACE)


def remove(store: Store, entries: Iterable[Kept]) -> int:
    """Remove entries, each out of sight in one step and then from the disk; the bytes that were freed. InputError where one
    cannot be removed."""
    freed = 0
    for entry in entries:
        aside = store.root / f".removed-{uuid.uuid4().hex[:12]}"
        try:
            entry.path.rename(aside)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"cannot remove {entry.path}: {error.strerror or error}") from error
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        freed += entry.size
    return freed


def parse_age(text: str) -> float:
    """Seconds of `30d`, `12h`, `2w`, `90m`; a number alone is days."""
    return _parsed(text, _SECONDS, "--older", "30d, 12h or 2w")


def parse_size(text: str) -> int:
    """Bytes of `20GB`, `500MB`; a number alone is bytes."""
    return int(_parsed(re.sub(r"(?i)(?<=[kmgt])i?b$", "", text.strip()), _BYTES, "--to", "20GB or 500MB"))


def _parsed(text: str, units: dict[str, float], option: str, example: str) -> float:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-zA-Z]?)", text.strip())
    if found is None or found[2].lower() not in units:
        raise InputError(f"{option}: expected {example}, found '{text}'")
    return float(found[1]) * units[found[2].lower()]
