"""Benchmark suite and leaderboard for generators of synthetic chest X-rays.

What a writer of a provider, a task or a notebook needs; nothing of it imports torch, and nothing is imported before it is
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .benchmark.contracts.provider import Batch, Provider
    from .benchmark.contracts.task import Arm, ArmName, Metric, Predictions, Slot, Task, Trained
    from .benchmark.data.catalogue import find_dataset
    from .benchmark.data.dataset import Annotation, Dataset, DatasetInfo, load_dataset
    from .benchmark.errors import CxrbenchError, InputError, ProviderError
    from .benchmark.progress import Progress
    from .benchmark.python.audit import Audited, audit
    from .benchmark.python.curve import CopiesCurve, curve
    from .benchmark.python.run import Compared, Run, compare, datasets, load, run
    from .benchmark.results.folder import load_run
    from .benchmark.results.rows import Results
    from .leaderboard.boards import boards

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "Arm",
    "ArmName",
    "Audited",
    "Batch",
    "Compared",
    "CopiesCurve",
    "CxrbenchError",
    "Dataset",
    "DatasetInfo",
    "InputError",
    "Metric",
    "Predictions",
    "Progress",
    "Provider",
    "ProviderError",
    "Results",
    "Run",
    "Slot",
    "Task",
    "Trained",
    "audit",
    "boards",
    "compare",
    "curve",
    "datasets",
    "find_dataset",
    "load",
    "load_dataset",
    "load_run",
    "run",
]

_HOMES = {
    "benchmark.contracts.provider": ("Batch", "Provider"),
    "benchmark.contracts.task": ("Arm", "ArmName", "Metric", "Predictions", "Slot", "Task", "Trained"),
    "benchmark.data.catalogue": ("find_dataset",),
    "benchmark.data.dataset": ("Annotation", "Dataset", "DatasetInfo", "load_dataset"),
    "benchmark.errors": ("CxrbenchError", "InputError", "ProviderError"),
    "benchmark.progress": ("Progress",),
    "benchmark.python.audit": ("Audited", "audit"),
    "benchmark.python.curve": ("CopiesCurve", "curve"),
    "benchmark.python.run": ("Compared", "Run", "compare", "datasets", "load", "run"),
    "benchmark.results.folder": ("load_run",),
    "benchmark.results.rows": ("Results",),
    "leaderboard.boards": ("boards",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
