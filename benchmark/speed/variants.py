"""The settings that a provider is measured with, as its class makes them (`Provider.shorter`, `Provider.with_batch`). Asked
in a process of its own (this module as a program), since its code is anybody's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..processes import answer, run_apart
from ..registry import find_provider
from ..settings import plain, restore

if TYPE_CHECKING:
    from ..contracts.provider import Provider
    from ..runs.job import Synthesise


@dataclass(frozen=True)
class Variant:
    """Settings as JSON values, and those of a fit that is short enough to be timed. `batch`: None for the provider's own."""

    batch: int | None
    settings: Mapping[str, Any]
    short: Mapping[str, Any]

    @property
    def shortened(self) -> bool:
        """Whether they differ; else a whole fit is timed."""
        return self.short != self.settings


def variants_of(job: Synthesise, batches: Sequence[int], *, steps: int, side: int, time_limit: float) -> list[Variant]:
    """The settings of a job as they are, then with those batch sizes that change them; each also for a fit of `steps` steps
    on films of `side` pixels. ProviderError where the provider's code fails."""
    values = {
        "provider": job.work.provider,
        "preset": job.work.preset,
        "settings": job.work.provider_settings,
        "batches": list(batches),
        "steps": steps,
        "side": side,
    }
    found = run_apart(
        __name__,
        json.dumps(values) + "\n",
        threads=job.threads,
        time_limit=time_limit,
        label=f"settings of {job.name}",
        hint="raise it with --time-limit",
    )
    return [Variant(**one) for one in found["variants"]]


def _variants(values: Mapping[str, Any]) -> dict[str, Any]:
    cls: type[Provider] = find_provider(values["provider"]).load()
    own = restore(cls.presets[values["preset"]], values["settings"])
    sized = [(size, cls.with_batch(own, size)) for size in values["batches"]]
    made = [(None, own)] + [(size, changed) for size, changed in sized if changed != own]
    return {
        "variants": [
            {
                "batch": size,
                "settings": plain(changed),
                "short": plain(cls.shorter(changed, values["steps"], side=values["side"])),
            }
            for size, changed in made
        ]
    }


if __name__ == "__main__":
    answer(lambda line: _variants(json.loads(line)))
