"""Asking a provider's class what it offers: once, in a process of its own, so that no provider code runs in this one."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from .. import digest
from ..errors import InputError
from ..files import write_text
from ..plain_files import FILE, remove_odd
from ..registry import Plugin
from ..settings import within
from .chains import run_job
from .examine import Said
from .job import Describe
from .schedule import portable
from .store import Store

TIME_LIMIT = 300.0


def ask_provider(
    plugin: Plugin, preset: str, pairs: Sequence[tuple[str, str]], store: Store, *, smoke_side: int | None = None
) -> Said:
    """What a provider says of itself at a preset with settings changed by `pairs`, and then cut for a smoke run on films of
    `smoke_side` pixels. InputError where it cannot be asked.

    Kept by the digest of its code, unless a setting names a file, whose content may change.
    """
    asked = [plugin.spec, plugin.code_digest(), digest.of_packages(), preset, pairs]
    key = digest.of_json(asked if smoke_side is None else [*asked, smoke_side])
    kept = store.root / "described" / f"{key}.json"
    remove_odd(kept, FILE)
    if kept.is_file():
        try:
            return Said.model_validate_json(kept.read_bytes())
        except ValidationError:
            kept.unlink()
    job = Describe(
        provider=portable(plugin), name=plugin.name, preset=preset, overrides=tuple(pairs), smoke_side=smoke_side
    )
    outcome = run_job(job, time_limit=TIME_LIMIT)
    if outcome.error:
        raise InputError(outcome.error)
    said = Said.model_validate(outcome.value)
    if within(said.keyed, said.settings):  # no file among them
        write_text(kept, said.model_dump_json())
    return said
