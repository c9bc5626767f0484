"""Operations whose tensors have no memory, and what they would have held: for counts (`counting`)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from .probe import FlopCounter


class Held(TorchDispatchMode):
    """Counts operations, and the bytes of all storages that they make, for as long as something holds these."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.operations = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        self.operations += 1
        for one in tree_leaves(given):
            if isinstance(one, Tensor):
                self._see(one)
        return given

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self.known:
            return
        self.known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size


@contextmanager
def without_memory(mode: FakeTensorMode | None = None) -> Iterator[None]:
    """Operations give tensors without memory. Where Python asks for values, arrays and places are zero, and numbers one (of
    the levels of noise of a sampler, say, none is the last). `mode`: an earlier block's, to use its tensors again."""

    def zeros(tensor: Tensor) -> np.ndarray:
        kind = tensor.dtype if tensor.dtype != torch.bfloat16 else torch.float32
        return np.zeros(tuple(tensor.shape), dtype=str(kind).removeprefix("torch."))

    def listed(tensor: Tensor) -> Any:
        return (np.ones_like(zeros(tensor)) if tensor.is_floating_point() else zeros(tensor)).tolist()

    def number(tensor: Tensor) -> bool | int | float:
        if tensor.dtype == torch.bool:
            return False
        return 1.0 if tensor.is_floating_point() else 1

    border: dict[str, Callable[[Tensor], Any]] = {
        "numpy": zeros,
        "tolist": listed,
        "item": number,
        "__float__": lambda tensor: float(number(tensor)),
        "__int__": lambda tensor: int(number(tensor)),
        "__bool__": lambda tensor: False,
    }
    with ExitStack() as stack:
        for name, value in border.items():
            stack.enter_context(patch.object(FakeTensor, name, value))
        stack.enter_context(patch.object(nn.Module, "to", lambda network, *_, **__: network))  # all is on one device
        stack.enter_context(patch.object(Tensor, "__deepcopy__", _copied))
        stack.enter_context(mode or FakeTensorMode(allow_non_fake_inputs=True))
        yield


def _copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy of a tensor that may have no memory: PyTorch's own would copy its storage."""
    made = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    memo[id(tensor)] = made
    return made


@dataclass
class Once:
    """Networks whose calls are done once for each shape of their input; further ones give tensors of the same shapes, and
    count what the first one did."""

    held: Held
    counter: FlopCounter
    flops: float = 0.0
    """Of the calls that were not done."""

    def of(self, network: nn.Module) -> Callable[..., Any]:
        """In place of the network's `forward`; what takes gradients is always done."""
        forward, known = network.forward, dict[str, tuple[float, int, Any]]()

        def asked(*args: Any, **named: Any) -> Any:
            if torch.is_grad_enabled():
                return forward(*args, **named)
            key = repr(tree_map(_shape, (args, named)))
            now, flops, peak = self.held.now, self.counter.get_total_flops(), self.held.peak
            if key in known:
                cost, most, shapes = known[key]
                self.flops += cost
                self.held.peak = max(peak, now + most)
                return tree_map_only(_Shape, lambda one: torch.empty(one.shape, dtype=one.dtype), shapes)
            self.held.peak = now
            given = forward(*args, **named)
            out = sum(one.nbytes for one in tree_leaves(given) if isinstance(one, Tensor))
            most = self.held.peak - self.held.now + out  # without what stays: weights are there the next time
            known[key] = (self.counter.get_total_flops() - flops, most, tree_map_only(Tensor, _shape, given))
            self.held.peak = max(peak, self.held.peak)
            return given

        return asked


@dataclass(frozen=True)
class _Shape:
    shape: tuple[int, ...]
    dtype: torch.dtype


def _shape(value: Any) -> Any:
    return _Shape(tuple(value.shape), value.dtype) if isinstance(value, Tensor) else value
