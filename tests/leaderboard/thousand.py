"""A thousand entries on disk, made of the committed ones: `python -m tests.leaderboard.thousand FOLDER [COUNT]`.

Every one has another name and other keys, words and scores, one to three runs of the sizes that real ones have, and shares
cells as those do. They are read as any entry; the check of one finds that its predictions are not those that it names.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
FIRST = ("calm", "dense", "early", "faint", "grey", "late", "narrow", "plain", "quick", "round", "slow", "wide")
SECOND = ("gan", "vae", "flow", "diffusion", "sampler", "atlas", "copies", "stage", "mixture", "score")
PLACEHOLDER = "\0"
_HEX = re.compile(r'"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Template:
    """A committed run in parts: results before and after its numbers by seed, these, and the records; what is its own."""

    run: Path
    before: str
    rows: tuple[dict[str, Any], ...]
    after: str
    records: tuple[tuple[str, tuple[str, str, int], tuple[tuple[str, str], ...], str], ...]
    """Of each record what is before its table, size, arm and seed, what its rows are of, and what is behind it."""
    own: frozenset[str]

    @classmethod
    def of(cls, run: Path) -> Template:
        """The template of a run's folder."""
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        rows, results["seed_values"] = tuple(results["seed_values"]), PLACEHOLDER
        before, _, after = json.dumps(results, separators=(",", ":")).partition(json.dumps(PLACEHOLDER))
        places = {cell["key"]: (cell["size"], cell["arm"], cell["seed"]) for cell in results["cells"]}
        own, records = set(), []
        for line in (run / "records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            head, _, rest = line.partition('"table":[')
            rows_of = tuple((row["metric"], row["structure"]) for row in record["table"])
            records.append((head + '"table":[', places[record["key"]], rows_of, rest[rest.index("]") :] + "\n"))
            if record["cell"]["provider"] is not None:
                own |= {record["key"], *(sha for name, sha in record["files"].items() if not name.endswith("/ids"))}
        return cls(run, before, rows, after, tuple(records), frozenset(own))

    def write(self, folder: Path, name: str, rng: np.random.Generator) -> None:
        """The run as one of another entry: other keys, digests and scores of what its films taught."""

        def other(found: re.Match[str]) -> str:
            said = found[1]
            return f'"{hashlib.sha256(f"{name} {said}".encode()).hexdigest() if said in self.own else said}"'

        values = np.array([row["value"] for row in self.rows])
        theirs = np.array([row["arm"] not in ("real",) and not row["arm"].startswith("placebo_") for row in self.rows])
        values = values * (1 + theirs * (rng.normal(0, 0.005) + rng.normal(0, 0.002, len(values))))
        rows = (
            json.dumps(row | {"value": value}, separators=(",", ":"))
            for row, value in zip(self.rows, values.tolist(), strict=True)
        )
        folder.mkdir(parents=True)
        text = f"{_HEX.sub(other, self.before)}[{','.join(rows)}]{_HEX.sub(other, self.after)}"
        (folder / "results.json").write_text(text + "\n", encoding="utf-8")
        told = {
            (row["size"], row["arm"], row["seed"], row["metric"], row["structure"]): value
            for row, value in zip(self.rows, values.tolist(), strict=True)
        }
        lines = []
        for head, place, rows_of, rest in self.records:
            table = [
                {"metric": metric, "structure": structure, "value": told[(*place, metric, structure)]}
                for metric, structure in rows_of
                if (*place, metric, structure) in told
            ]
            lines.append(f"{head}{json.dumps(table, separators=(',', ':'))[1:-1]}{rest}")
        (folder / "records.jsonl").write_text(_HEX.sub(other, "".join(lines)), encoding="utf-8")
        shutil.copyfile(self.run / "predictions.npz", folder / "predictions.npz")


def make(root: Path, count: int = 1000, source: Path = SUBMISSIONS) -> list[Path]:
    """That many entries in a new folder, and the cells that they share."""
    shutil.copytree(source / "shared", root / "shared")
    boards, rng = _boards(source), np.random.default_rng(0)
    return [_entry(root, number, boards, source, rng) for number in range(count)]


def add(root: Path, number: int, source: Path = SUBMISSIONS) -> Path:
    """One entry more, of that number."""
    return _entry(root, number, _boards(source), source, np.random.default_rng(number))


def _boards(source: Path) -> list[list[Template]]:
    """The committed runs, by board."""
    boards: dict[str, list[Template]] = {}
    for run in sorted(source.glob("*/runs/*")):
        boards.setdefault(run.name, []).append(Template.of(run))
    return list(boards.values())


def _entry(
    root: Path, number: int, boards: Sequence[Sequence[Template]], source: Path, rng: np.random.Generator
) -> Path:
    name = f"{rng.choice(FIRST)}_{rng.choice(SECOND)}_{number:04d}"
    folder, runs = root / name, rng.choice(len(boards), rng.choice((1, 2, 3), p=(0.4, 0.4, 0.2)), replace=False)
    for board in runs:
        template = boards[board][rng.integers(len(boards[board]))]
        template.write(folder / "runs" / template.run.name, name, rng)
    pattern = source / "three_stage"
    said = (pattern / "submission.toml").read_text(encoding="utf-8")
    said = re.sub(r'(?m)^name = ".*"', f'name = "{name}"', said)
    said = re.sub(r'(?m)^description = ".*"', f'description = "Number {number}, {name.replace("_", " ")}"', said)
    (folder / "submission.toml").write_text(said, encoding="utf-8")
    shutil.copytree(pattern / "samples", folder / "samples")
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "runs").rglob("*"))
        if path.is_file()
    }
    (folder / "digests.json").write_text(json.dumps({"schema": 2, "files": files}, indent=1), encoding="utf-8")
    return folder


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
