"""How the attributes of a provider are kept in a folder, and given back: plain values, arrays and datasets.

An attribute that the class annotates comes back in its type (`lungs: tuple[str, ...]`, `maps: OrganMaps`), so that a
dataclass of plain values may be one. Networks are kept by `training.networks`.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from ..data.dataset import Dataset, load_dataset
from ..errors import ProviderError

if TYPE_CHECKING:
    from torch import nn

FILE = "attributes.json"


def networks_among(owner: object) -> dict[str, nn.Module]:
    """The attributes of an object that are networks, by name. Does not import torch: who has a network has done so."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {name: value for name, value in vars(owner).items() if isinstance(value, torch.nn.Module)}


def save_attributes(owner: object, folder: Path, leave_out: Collection[str]) -> None:
    """Keep the attributes of an object but those to leave out. ProviderError names one that cannot be kept."""
    plain: dict[str, Any] = {}
    for name, value in vars(owner).items():
        if name in leave_out:
            continue
        if isinstance(value, Dataset):
            value.save(folder / f"{name}.dataset")
        elif isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", value, allow_pickle=False)
        else:
            plain[name] = _as_json(type(owner), name, value)
    (folder / FILE).write_text(json.dumps(plain), encoding="utf-8")


def load_attributes(owner: object, folder: Path) -> None:
    """Set the attributes that `save_attributes` kept. ProviderError names one that is not what the class annotates."""
    for name, value in json.loads((folder / FILE).read_text(encoding="utf-8")).items():
        kind = _kind(type(owner), name)
        try:
            setattr(owner, name, value if kind is None else kind.validate_python(value))
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise ProviderError(f"provider {type(owner).__name__}: kept attribute '{name}': {said}") from None
    for path in folder.glob("*.npy"):
        setattr(owner, path.stem, np.load(path, allow_pickle=False))
    for path in folder.glob("*.dataset"):
        setattr(owner, path.stem, load_dataset(path))


def _as_json(owner: type, name: str, value: object) -> Any:
    """A plain attribute as JSON values."""
    kind = _kind(owner, name)
    try:
        made = value if kind is None else kind.dump_python(value, mode="json", by_alias=True, warnings="error")
        return json.loads(json.dumps(made, allow_nan=False))
    except (TypeError, ValueError):
        raise ProviderError(
            f"provider {owner.__name__}: attribute '{name}' is {type(value).__name__}; the default save() keeps networks "
            "that build() makes, arrays, datasets, numbers, text, lists, and dataclasses of these plain values that the "
            "class annotates: name it in `not_saved`, or write save() and load()"
        ) from None


def _kind(owner: type, name: str) -> TypeAdapter[Any] | None:
    """The plain type that a class or a base of it annotates an attribute with; None where there is no such annotation."""
    for cls in owner.__mro__:
        hint = inspect.get_annotations(cls).get(name)
        if hint is not None:
            try:
                known = vars(sys.modules[cls.__module__])
                return TypeAdapter(eval(hint, known) if isinstance(hint, str) else hint)
            except (PydanticUserError, NameError, AttributeError, TypeError):
                return None  # an array or a network, or a name that is imported for type checkers alone
    return None
