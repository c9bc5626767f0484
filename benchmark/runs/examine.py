"""What a provider says of itself, and whether it keeps the contract: asked of its class, in a process of its own."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from pydantic import Field

from ..contracts.initial_weights import from_scratch
from ..contracts.provider import Provider
from ..contracts.task import Task
from ..errors import CxrbenchError, InputError
from ..progress import Progress
from ..registry import Plugin, find_provider
from ..schema import Strict
from ..settings import keyed, override, plain, restore
from .job import Check, Describe
from .smoke import STEPS


class Said(Strict):
    """What a provider's class says of itself. `settings` are those of the asked preset with the overrides; `keyed` what of
    them a key is made of."""

    summary: str
    """The first line of its docstring."""
    produces: tuple[str, ...]
    home_task: str
    reference_seconds: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, Any]
    keyed: dict[str, Any]
    takes_rest: bool = False
    """Whether it is given real training films outside of the size."""
    from_scratch: tuple[str, ...] = ()
    """What starts from scratch at these settings where its paper starts from weights (`Provider.initial_weights`)."""


@cache
def torch_mismatch() -> str | None:
    """One line when torch and torchvision cannot be imported together, else None."""
    from importlib.metadata import version

    try:
        if not _operators_load():
            import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        return (
            f"torch {version('torch')} and torchvision {version('torchvision')} do not match "
            f"({str(error).splitlines()[0]}): install both from one place, "
            "pip install --force-reinstall torch torchvision"
        )
    return None


def _operators_load() -> bool:
    """Whether torchvision's library of operators loads into torch, as it does where the two match. To import torchvision
    takes seconds more: it imports torch's compiler."""
    found = find_spec("torchvision")
    names = [
        str(path) for place in (found and found.submodule_search_locations) or () for path in Path(place).glob("_C*")
    ]
    library = next((name for name in names if name.endswith(tuple(EXTENSION_SUFFIXES))), None)
    if library is None:
        return False
    import torch

    operators: Any = torch.ops
    try:
        operators.load_library(library)
        return hasattr(operators.torchvision, "nms")
    except OSError:
        return False


def class_of(plugin: Plugin) -> type[Provider]:
    """The class of a provider. InputError when it is none, or lacks what the contract asks for."""
    cls = plugin.load()
    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        raise InputError(f"{plugin.spec}: expected a class derived from cxrbench's Provider, found {_kind(cls)}")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise InputError(f"{plugin.spec}: {cls.__name__} lacks {', '.join(missing)}: a provider writes fit and sample")
    if not isinstance(getattr(cls, "produces", None), frozenset):
        raise InputError(f"{plugin.spec}: {cls.__name__} lacks produces = frozenset({{...}}): what its films come with")
    if not _is_made_as_others_are(cls, *([plugin.argument] if plugin.argument else [])):
        raise InputError(
            f"{plugin.spec}: {cls.__name__}.__init__{signature(cls.__init__)} is not called with values of its own, but as "
            f"{cls.__name__}(settings, device=...): leave it out and write such values into the class (n = 12), or into a "
            "frozen dataclass in presets, which --set then changes"
        )
    return cls


def _is_made_as_others_are(cls: type[Provider], *first: str) -> bool:
    """Whether a class is made of settings and a device."""
    try:
        signature(cls).bind(*first, None, device="cpu")
    except TypeError:
        return False
    return True


SAID_BY_TASKS = ("name", "version", "needs", "summary", "presets", "default_data", "primary", "metrics")
"""What every class of a task says of itself."""


def task_class(plugin: Plugin) -> type[Task]:
    """The class of a task. InputError when it is none, or lacks what every task says or does."""
    cls = plugin.load()
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise InputError(f"{plugin.spec}: expected a class derived from cxrbench's Task, found {_kind(cls)}")
    if missing := [name for name in SAID_BY_TASKS if not hasattr(cls, name)]:
        raise InputError(f"{plugin.spec}: {cls.__name__} lacks {', '.join(missing)}, which every task says of itself")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise InputError(f"{plugin.spec}: {cls.__name__} lacks {', '.join(missing)}: a task writes them")
    return cls


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__


def describe(job: Describe) -> dict[str, Any]:
    """`Said` of a provider, as JSON values."""
    if mismatch := torch_mismatch():
        raise InputError(mismatch)
    plugin = find_provider(job.provider)
    cls = class_of(plugin)
    if job.preset not in cls.presets:
        raise CxrbenchError(f"provider {plugin.name} has no preset '{job.preset}'; it has {', '.join(cls.presets)}")
    settings = override(cls.presets[job.preset], list(job.overrides), plugin.name)
    if job.smoke_side is not None:
        settings = _smoked(plugin, cls, settings, job.smoke_side)
    said = Said(
        summary=(cls.__doc__ or "").strip().split("\n")[0],
        produces=tuple(sorted(annotation.value for annotation in cls.produces)),
        home_task=cls.home_task,
        reference_seconds=dict(cls.reference_seconds),
        settings=plain(settings),
        keyed=keyed(settings),
        takes_rest=cls.takes_rest,
        from_scratch=from_scratch(cls.initial_weights, plain(settings)),
    )
    return said.model_dump(mode="json")


def _smoked(plugin: Plugin, cls: type[Provider], settings: Any, side: int) -> Any:
    """Settings of a smoke run. InputError where a provider with networks does not say how its fit is cut short."""
    made = cls.smoke(settings, STEPS, side=side)
    if made == settings and cls.build is not Provider.build:
        raise InputError(
            f"provider {plugin.name} cannot be smoked: write shorter(settings, steps, side=...), which cuts its trainings"
        )
    return made


def check(job: Check, progress: Progress) -> list[dict[str, Any]]:
    """The conformance suite on a few phantom films; what was found, claim by claim."""
    from ..contracts.conformance import check_films, check_provider

    plugin = find_provider(job.asked.provider)
    cls = class_of(plugin)
    settings = restore(cls.presets[job.asked.preset], describe(job.asked)["settings"])
    films = check_films(cls.produces, progress.part("films", 0.0, 0.2))
    findings = check_provider(plugin, settings, films, device=job.device, progress=progress.part("check", 0.2, 1.0))
    return [asdict(finding) for finding in findings]
