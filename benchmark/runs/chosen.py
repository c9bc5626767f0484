"""Steps of a provider's trainings that a person chose by looking at samples (`training.by_eye`): what is asked for on the
command line, what was shown, and whether it was kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError, StoreError
from ..training.by_eye import UNNAMED, shown
from . import along
from .store import Level, Store

if TYPE_CHECKING:
    from .plan import Plan

KEEP = re.compile(r"(?:([^/=\s]+)/)?(?:([^/=\s]+)=)?([0-9]{1,9})")
"""`300`, `films=300`, `tiny/films=300`."""


def parse_keep(texts: Sequence[str]) -> dict[str, int]:
    """Steps by training, `SIZE/TRAINING` where they are of one size; an empty name is the only training's. InputError for
    what is none of these."""
    kept: dict[str, int] = {}
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        found = KEEP.fullmatch(text)
        if found is None:
            raise InputError(f"--keep {text}: expected STEP, TRAINING=STEP or SIZE/TRAINING=STEP")
        size, name, step = found[1], found[2] or "", int(found[3])
        key = f"{size}/{name}" if size else name
        if key in kept:
            raise InputError(f"--keep {text}: a step of that training was given before")
        kept[key] = step
    return kept


def named(kept: Mapping[str, int], trainings: Sequence[str]) -> dict[str, int]:
    """The same with the name of the only training where none was given. InputError where there are several, or where a name
    is no training's."""
    found: dict[str, int] = {}
    for key, step in kept.items():
        size, slash, name = key.rpartition("/")
        if not name and len(trainings) != 1:
            has = f"{', '.join(trainings)}" if trainings else "none that samples were shown of"
            raise InputError(f"--keep {step}: say of which training, TRAINING={step}; it has {has}")
        if name and trainings and name not in trainings:
            raise InputError(f"--keep {name}={step}: no such training; it has {', '.join(trainings)}")
        found[f"{size}{slash}{name or trainings[0]}"] = step
    return found


def moments_of(store: Store, whole_key: str) -> dict[str, list[int]]:
    """The steps at which samples of a whole fit were shown, by training: in the folder of its moments, or beside the fit."""
    found = shown(store.moments(whole_key)) if store.moments(whole_key).is_dir() else {}
    if found:
        return found
    samples = along.read(store.path(Level.FITS, whole_key) / along.FILE)
    try:
        curves = list(store.fit(whole_key).curves) if samples else []
    except StoreError:
        return {}
    only = curves[0] if len(curves) == 1 else UNNAMED
    return {name or only: [int(step) for step in steps] for name, (steps, _) in samples.items()}


def known_trainings(plan: Plan, store: Store) -> list[str]:
    """The trainings of the provider of a plan, by name, as far as samples of one of its fits were shown."""
    keys = dict.fromkeys(cell.whole_key for cell in plan.cells if cell.whole_key)
    return next((list(found) for key in keys if (found := moments_of(store, key))), [])


def require_kept(plan: Plan, store: Store) -> None:
    """InputError where a fit that a person is said to have chosen is not in the store: it is kept by who looked at it."""
    for cell in plan.cells:
        provider = cell.identity.provider
        if provider is None or not provider.kept or store.sound(Level.FITS, str(cell.fit_key)):
            continue
        steps = ",".join(f"{name}={step}" for name, step in provider.kept.items())
        slot = cell.slot
        raise InputError(
            f"no fit of {slot.size}, fold {slot.fold}, seed {cell.seed} was kept at {steps}: look at its samples first, "
            f"`cxrbench fit --provider {provider.spec} --size {slot.size} --fold {slot.fold} --seed {cell.seed}`, then with "
            f"--keep {steps}"
        )
