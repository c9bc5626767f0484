"""Real training films outside of a size: what a control is given that shows what more real films would give
(`Provider.takes_rest`). Never test films, nor those that stop a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..contracts.task import Slot, Task
from ..data.copies import originals
from ..data.dataset import Dataset
from ..errors import InputError


def rest_of(task: Task, data: Dataset, slot: Slot) -> Dataset:
    """The films of the largest training set of the slot's fold and seed whose patients neither train nor validate at the
    slot's size, as the protocol prepares them: with the copies that its augmentation makes. May have no film."""
    sizes = dict.fromkeys(one.size for one in task.slots(data) if one.fold == slot.fold)
    sets = {size: task.training_set(data, replace(slot, size=size)) for size in sizes}
    largest = max(sets.values(), key=len)
    own = sets[slot.size] if slot.size in sets else task.training_set(data, slot)
    held = task.validation_set(data, slot)
    test = set(task.test_set(data, slot).ids)
    known = {patient for films in (own, held) if films is not None for patient in _patients(films)}
    rows = [row for row, patient in enumerate(_patients(largest)) if patient not in known]
    shown = originals(largest)
    rows = [row for row in rows if shown[row] not in test]
    return largest.select(rows, name=f"{data.info.name}, training films outside of {slot.size}")


def _patients(films: Dataset) -> list[str]:
    return films.cases["patient"].astype(str).tolist()


def has_rest(task: Task, data: Dataset, slot: Slot) -> bool:
    """Whether a downstream model could learn from films outside of the size."""
    rest = rest_of(task, data, slot)
    return len(rest) > 0 and len(task.learnt_from(rest)) > 0


def sizes_with_rest(name: str, task: Task, data: Dataset, slots: Sequence[Slot]) -> tuple[list[Slot], str]:
    """The slots of the sizes that leave films for provider `name`, and what must be said of the run. InputError where no
    size leaves any."""
    sizes = {slot.size: slot for slot in slots}
    left = {size for size, slot in sizes.items() if has_rest(task, data, slot)}
    used = [size for size in sizes if size not in left]
    if not left:
        every = dict.fromkeys(slot.size for slot in task.slots(data))
        others = [size for size in every if size not in sizes]
        cure = f"name a smaller size ({', '.join(others)})" if others else "take a dataset with more films"
        raise InputError(
            f"{name} gives other real training films, and {_named(used)} of {data.info.name} leaves none: {cure}"
        )
    without = f"; {_named(used)} leaves none and is not run" if used else ""
    said = f"control: {name} is given the real training films outside of the size: no generator, never ranked{without}"
    return [slot for slot in slots if slot.size in left], said


def _named(sizes: Sequence[str]) -> str:
    return f"size {', '.join(sizes)}"
