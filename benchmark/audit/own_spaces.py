"""Spaces of the REAL models of the store: what the task's own network says of films before its last layer, and the
anatomy of films without masks as the REAL segmenter sees it.

Real films that a model was trained on look otherwise to it than new ones; both spaces are shown those of its test
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts.task import Task
from ..data.dataset import Annotation, Dataset
from ..data.film_rows import blocks
from ..errors import CxrbenchError, InputError, one_line
from ..fidelity.anatomy import anatomy_features
from ..fidelity.audit import with_common_masks
from ..fidelity.spaces import Space
from ..progress import Progress
from ..runs.record import Record
from .real_model import Judge, load_judge, newest_real
from .sources import Opened

if TYPE_CHECKING:
    from torch import Tensor, nn

NETWORK, SEGMENTED = "task network", "segmented anatomy"
BLOCK = 64  # films that a model is asked about at once


def own_spaces(opened: Opened) -> tuple[list[Space], list[str]]:
    """The spaces of the store's REAL models for these films, and a line for each that there is none of."""
    name = opened.sides.real.info.name
    spaces, left_out = [], []
    wanted = [(NETWORK, _network_space, newest_real(opened, lambda needs: True))]
    if not with_common_masks(opened.sides):
        wanted.append((SEGMENTED, _segmented_space, newest_real(opened, Annotation.MASKS.__eq__)))
    for title, make, record in wanted:
        if record is None:
            which = "segmentation model" if title == SEGMENTED else "REAL model"
            left_out.append(
                f"the space {title} is left out: no {which} of {name} in the store; run "
                f"`cxrbench run --provider copy_train --data {name} --arms real`"
            )
            continue
        try:
            spaces.append(make(load_judge(record), record))
        except CxrbenchError as error:
            left_out.append(f"the space {title} is left out: {error}")
        except Exception as error:  # of a task that is not ours
            left_out.append(f"the space {title} is left out: {type(error).__name__}: {one_line(error)}")
    return spaces, left_out


def _said(record: Record) -> str:
    cell = record.cell
    return f"REAL model of {cell.task.name} {cell.preset}, {cell.size}, seed {cell.seed}; real films of its test alone"


def _network_space(judge: Judge, record: Record) -> Space:
    def features(films: Dataset, progress: Progress) -> np.ndarray:
        return last_features(judge.task, judge.model, _seen(films, judge), progress)

    about = f"features before the last layer of the {_said(record)}"
    return Space(NETWORK, about, _guarded(NETWORK, features), unseen=frozenset(judge.test.ids))


def _segmented_space(judge: Judge, record: Record) -> Space:
    structures = judge.task.structures(judge.test)

    def features(films: Dataset, progress: Progress) -> np.ndarray:
        shown, parts = _seen(films, judge), []
        for rows in blocks(len(shown), 1, multiple=BLOCK):
            block = shown.select(np.arange(len(shown))[rows])
            if judge.train is None:
                raise InputError("its training films are not known")
            said = judge.task.annotate(judge.model, block, judge.train, seed=0, device="cpu")
            if said.masks is None or any(name not in said.organs for name in structures):
                raise InputError(f"the model of {judge.task.name} gives no masks of {', '.join(structures)}")
            parts.append(anatomy_features(np.asarray(block.images), said.organ_masks(structures)))
            progress.update(rows.stop / len(shown))
        return np.concatenate(parts)

    about = f"areas, places, shapes, grey levels and edges of the organs as seen by the {_said(record)}"
    return Space(
        SEGMENTED,
        about,
        _guarded(SEGMENTED, features),
        standard=True,
        organs=tuple(structures),
        unseen=frozenset(judge.test.ids),
    )


def _seen(films: Dataset, judge: Judge) -> Dataset:
    """Films as the model gets them: at the size of its test, or as they are where they are smaller."""
    return films.resized(min(films.resolution, judge.test.resolution))


def _guarded(
    title: str, features: Callable[[Dataset, Progress], np.ndarray]
) -> Callable[[Dataset, Progress], np.ndarray]:
    """The same with every error of a model in one line, an InputError."""

    def checked(films: Dataset, progress: Progress) -> np.ndarray:
        try:
            return features(films, progress)
        except CxrbenchError as error:
            raise InputError(str(error)) from None
        except Exception as error:  # of a task that is not ours
            raise InputError(f"{type(error).__name__}: {one_line(error)}") from None

    return checked


# ---------------------------------------------------------------------- before the last layer


def last_features(task: Task, model: Any, films: Dataset, progress: Progress | None = None) -> np.ndarray:
    """What goes into the last layer of a task's model, float64 (N, D): the mean over places of maps, and over
    windows where a film is looked at in several.

    The last layer is the linear or convolutional one that is run last of those that get a row a film. InputError
    for a model without such a layer, or with fewer than two films.
    """
    progress = progress or Progress()
    if len(films) < 2:
        raise InputError("features of a network: expected two films or more")
    layer, windows = _last_layer(task, model, films)
    parts: list[np.ndarray] = []
    for start in range(0, len(films), BLOCK):
        block = films.select(np.arange(start, min(start + BLOCK, len(films))))
        with _inputs_of({"": layer}) as calls:
            task.predict(model, block, device="cpu")
        said = [pooled for _, pooled in calls]
        looks = [np.mean(said[at : at + windows], axis=0) for at in range(0, len(said), windows)]
        found = np.concatenate(looks)
        if len(found) != len(block):
            raise InputError(f"its last layer is run on {len(found)} rows for {len(block)} films")
        parts.append(found)
        progress.update((start + len(block)) / len(films))
    return np.concatenate(parts)


def _last_layer(task: Task, model: Any, films: Dataset) -> tuple[nn.Module, int]:
    """The last layer of a model that gets a row a film (and window), and how many windows it sees of a film."""
    from torch import nn

    layers = {
        f"{part}/{name}": layer
        for part, network in _networks(model).items()
        for name, layer in network.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }
    with _inputs_of(layers) as one:
        task.predict(model, films.select([0]), device="cpu")
    with _inputs_of(layers) as two:
        task.predict(model, films.select([0, 1]), device="cpu")
    rows, both = _rows(one), _rows(two)
    order = list(dict.fromkeys(name for name, _ in reversed(one)))  # by their last call, the last one first
    for name in order:
        if both.get(name) == 2 * rows[name] and all(len(said) == 1 for called, said in one if called == name):
            return layers[name], rows[name]
    raise InputError(f"the model of {task.name} has no layer that gets a row a film")


def _networks(model: Any) -> Mapping[str, nn.Module]:
    """The networks that a model is or holds."""
    from torch import nn

    if isinstance(model, nn.Module):
        return {"": model}
    held = dict(model) if isinstance(model, Mapping) else getattr(model, "__dict__", {})
    return {str(name): value for name, value in held.items() if isinstance(value, nn.Module)}


def _rows(calls: list[tuple[str, np.ndarray]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, said in calls:
        found[name] = found.get(name, 0) + len(said)
    return found


@contextmanager
def _inputs_of(layers: Mapping[str, nn.Module]) -> Iterator[list[tuple[str, np.ndarray]]]:
    """The calls of layers within the block, in order: the layer's name and its input, float64 (rows, D), the mean over
    places."""
    calls: list[tuple[str, np.ndarray]] = []

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
            said = given[0].detach().double()
            # (B, D, h, w) of a convolution, (B, D) or (B, places, D) of a linear layer
            places = tuple(range(2, said.ndim)) if said.ndim == 4 else tuple(range(1, said.ndim - 1))
            calls.append((name, (said.mean(dim=places) if places else said).cpu().numpy()))

        return hook

    hooks = [layer.register_forward_pre_hook(hook_of(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
