"""What is run for a table or figure of a paper: `[[table]]` in `papers/<paper>.toml`, written by `cxrbench init --table`.

A table of several providers, or of several values of a setting, is a file for each of them: a run has one provider. Where
another command than `cxrbench run` makes the table, `command` is that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

RUNS = "{runs}"


@dataclass(frozen=True)
class TableRun:
    """One table. `vary`: settings of which each makes a run of its own; `folds`: parts that each seed is trained on; `then`:
    the command that lays the runs out, with `{runs}` for their folders."""

    name: str
    shows: str
    about: str
    data: str
    task: str = ""
    providers: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    vary: tuple[str, ...] = ("",)
    seeds: int = 5
    folds: int = 1
    label_by: str = ""
    then: str = ""
    command: str = ""

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> TableRun:
        """From TOML; TypeError or ValueError where a key is missing or unknown, or there are no providers and no command."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in said.items()
        }
        made = cls(**values)
        for one in fields(cls):
            if not isinstance(getattr(made, one.name), tuple if str(one.type).startswith("tuple") else (str, int)):
                raise ValueError(f"table {made.name}: {one.name} is of the wrong kind")
        if bool(made.providers) == bool(made.command):
            raise ValueError(f"table {made.name}: expected either providers or a command")
        return made

    def runs(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Each run: the name of its file and folder, its provider, its settings."""
        for provider in self.providers:
            for one in self.vary:
                parts = [self.name]
                parts += [provider] if len(self.providers) > 1 else []
                parts += [_short(one)] if one else []
                yield "-".join(parts), provider, (*self.settings, *([one] if one else []))

    def trainings(self) -> tuple[int, int]:
        """How many fits of generators, and how many trainings of the task's model, are in it at its seeds: at most, as runs
        share what is the same in them (REAL, mostly), and without placebos."""
        parts = self.seeds * self.folds * max(len(self.sizes), 1) * len(self.providers) * len(self.vary)
        return parts * bool(set(self.arms) - {"real"}), parts * len(self.arms)

    def how(self) -> str:
        """What runs, in words."""
        if self.command:
            return f"`{self.command}`"
        fits, cells = self.trainings()
        settings = "".join(f"; {one}" for one in (*self.settings, " or ".join(self.vary)) if one)
        return (
            f"{self.task} on {self.data}: {', '.join(self.providers)}; size {', '.join(self.sizes)}; arms "
            f"{', '.join(self.arms)}{settings}; seeds: {self.seeds}, fits: {fits}, trainings: {cells}"
        )


def _short(setting: str) -> str:
    """A setting in a name of a file: beta-0.1 for beta=0.1, model-unet for task.model=unet."""
    key, _, value = setting.partition("=")
    return f"{key.rpartition('.')[2]}-{value}"
