"""What a provider says of itself, and whether it keeps the contract."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..errors import CxrbenchError, InputError
from ..progress import Progress
from ..registry import find_provider
from ..settings import keyed, override, plain, restore
from .job import Job


def torch_mismatch() -> str | None:
    """One line when torch and torchvision cannot be imported together, else None."""
    from importlib import import_module
    from importlib.metadata import version

    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        return (
            f"torch {version('torch')} and torchvision {version('torchvision')} do not match "
            f"({str(error).splitlines()[0]}): install both from one place, "
            "pip install --force-reinstall torch torchvision"
        )
    return None


def describe(job: Job) -> dict[str, Any]:
    """What a provider's class says: settings of the preset with the overrides, what it produces."""
    mismatch = torch_mismatch()
    if mismatch:
        raise InputError(mismatch)
    plugin = find_provider(job.provider)
    cls = plugin.load()
    if job.preset not in cls.presets:
        raise CxrbenchError(f"provider {plugin.name} has no preset '{job.preset}'; it has {', '.join(cls.presets)}")
    pairs = [(key, value) for key, value in job.overrides]
    settings = override(cls.presets[job.preset], pairs, plugin.name)
    return {"settings": plain(settings), "keyed": keyed(settings), "produces": sorted(cls.produces)}


def check(job: Job, progress: Progress) -> list[dict[str, Any]]:
    """The conformance suite on a few phantom films; what was found, claim by claim."""
    from ..contracts.conformance import check_films, check_provider

    plugin = find_provider(job.provider)
    settings = restore(plugin.load().presets[job.preset], describe(job)["settings"])
    films = check_films(plugin.load().produces, progress.part("films", 0.0, 0.2))
    findings = check_provider(plugin, settings, films, device=job.device, progress=progress.part("check", 0.2, 1.0))
    return [asdict(finding) for finding in findings]
