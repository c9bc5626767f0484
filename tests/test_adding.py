"""Adding is one file: a provider, a task, a metric, a column and a check are put into a scratch copy of the package.

The texts are those that CONTRIBUTING shows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import cxrbench

INSTALLED = Path(cxrbench.__file__).parent
TREE = Path(__file__).parents[1]
TOY_TASK = TREE / "tests" / "toys" / "toy_task.py"

PROVIDER = '''"""The mean film of the training set, with the masks of one of its people."""

from __future__ import annotations

import numpy as np

from ..benchmark.contracts.provider import Batch, Provider
from ..benchmark.data.dataset import Annotation


class MeanFilm(Provider):
    """The mean of all training films."""

    name = "mean_film"
    produces = frozenset({Annotation.MASKS})

    def fit(self, train, *, seed, progress):
        self.train = train

    def sample(self, n, *, seed):
        mean = self.train.images.mean(axis=0, dtype=np.float64) / 255
        rows = np.random.default_rng(seed).integers(0, len(self.train), n)
        images = np.repeat(mean[None, None].astype(np.float32), n, axis=0)
        yield Batch(images, self.train.organ_masks()[rows])
'''
THEIRS = PROVIDER.replace("from ..benchmark.contracts.provider", "from cxrbench").replace(
    "from ..benchmark.data.dataset", "from cxrbench"
)
CHECK = '''"""Every entry is greeted."""

from .finding import Finding, Level

NAME = "greeting"
RECOMPUTES = False


def check(subject):
    """One note an entry."""
    yield Finding(Level.NOTE, NAME, "", f"hello, {subject.entry.name}")
'''
COLUMN = '        Column("authors", "Authors", lambda one: Cell(", ".join(one.attempt.entrant.authors)), text=True),\n'
AT = '        Column("seeds", "Seeds", seeds),\n'


@dataclass(frozen=True)
class Scratch:
    """A copy of the package in a folder of its own, and how its commands are called."""

    folder: Path

    @property
    def package(self) -> Path:
        return self.folder / "cxrbench"

    def change(self, file: str, before: str, after: str) -> None:
        path = self.package / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    def install(self, name: str, tables: dict[str, dict[str, str]]) -> None:
        """What `pip install` leaves of a package: its entry points."""
        info = self.folder / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in tables.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))

    def install_own(self) -> None:
        project = tomllib.loads((self.package / "pyproject.toml").read_text())["project"]
        self.install("cxrbench", project["entry-points"])

    def __call__(self, *words: str, fails: bool = False) -> str:
        environment = os.environ | {"PYTHONPATH": str(self.folder), "CXRBENCH_HOME": str(self.folder / "home")}
        command = [sys.executable, "-m", "cxrbench.benchmark.cli", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert (done.returncode != 0) == fails, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> object:
        return json.loads(self(*words, "--json"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Scratch:
    made = Scratch(tmp_path_factory.mktemp("scratch"))
    for part in ("benchmark", "tasks", "baselines", "leaderboard"):
        shutil.copytree(INSTALLED / part, made.package / part)  # with what Python has compiled
    shutil.copy(INSTALLED / "__init__.py", made.package)
    shutil.copy(TREE / "pyproject.toml", made.package)
    made.install_own()
    (made.package / "baselines" / "mean_film.py").write_text(PROVIDER)
    (made.package / "tasks" / "toy.py").write_text(TOY_TASK.read_text())
    (made.package / "leaderboard" / "checks" / "greeting.py").write_text(CHECK)
    made.change("leaderboard/site/columns.py", AT, AT + COLUMN)
    assert "differs" in made("plugins", "--root", str(made.package), fails=True)
    made("plugins", "--root", str(made.package), "--write")
    made.install_own()
    (made.folder / "theirs.py").write_text(THEIRS.replace('"mean_film"', '"theirs"'))
    made.install("theirs", {"cxrbench.providers": {"theirs": "theirs:MeanFilm"}})
    return made


def names(rows: object) -> set[str]:
    assert isinstance(rows, Sequence)
    return {row["name"] for row in rows}


def test_one_command_makes_entry_points_and_the_list(scratch):
    points = tomllib.loads((scratch.package / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points["cxrbench.providers"]["mean_film"] == "cxrbench.baselines.mean_film:MeanFilm"
    assert points["cxrbench.tasks"]["toy"] == "cxrbench.tasks.toy:ToyTask"
    assert "nothing" not in scratch("plugins", "--root", str(scratch.package))  # a second call finds nothing to do
    providers = scratch.json("list", "providers")
    assert names(providers) >= {"three_stage", "mean_film", "theirs"}
    assert {row["about"] for row in providers if row["name"] in ("mean_film", "theirs")} == {
        "The mean of all training films."
    }
    assert names(scratch.json("list", "tasks")) >= {"scr_official", "toy"}


def test_a_fingerprint_is_made_by_a_command(scratch):
    numbers = scratch.folder / "numbers"
    numbers.mkdir()
    (scratch.folder / "CHANGELOG.md").write_text("# Changelog\n")
    entries = scratch.folder / "no_entries"
    entries.mkdir()
    words = ("--numbers", str(numbers), "--entries", str(entries), "--changelog", str(scratch.folder / "CHANGELOG.md"))
    scratch("regress", "--update", "--fingerprint", "provider:mean_film", "--reason", "a new provider", *words)
    assert "provider:mean_film" in json.loads((numbers / "fingerprints.json").read_text())["subjects"]


def test_new_provider_task_check_column_and_metric_are_used(scratch):
    """One run of the new provider on the new task, from the first cell to the site."""
    run = scratch.folder / "run"
    scratch("run", "--provider", "mean_film", "--task", "toy", "--arms", "real,synthetic", "--out", str(run))
    table = scratch("report", str(run), "--format", "csv")
    assert "synthetic" in table and "dsc" in table
    entries = scratch.folder / "submissions"
    scratch("submission", "pack", str(run), "--name", "mine", "--dir", str(entries))
    said = scratch("submission", "check", str(entries / "mine"), fails=True)  # its words are still those of the example
    assert "greeting   hello, mine" in said
    scratch("leaderboard", "build", "--entries", str(entries), "--out", str(scratch.folder / "site"))
    boards = sorted((scratch.folder / "site" / "boards").glob("toy*.html"))
    (page,) = [one for one in boards if not one.stem.endswith("-tells")]
    assert len(boards) == 2  # the board, and what it can tell
    assert "Authors" in page.read_text() and "Ada Example" in page.read_text()

    scratch.change("tasks/toy.py", "percent=True),)", 'percent=True), Metric("area", "Area"))')
    scratch.change(
        "tasks/toy.py",
        "        return pd.DataFrame(rows)\n",
        "        area = predicted.sum((2, 3)).ravel()\n"
        "        rows += [dict(row, metric='area', value=float(a)) for row, a in zip(rows, area, strict=True)]\n"
        "        return pd.DataFrame(rows)\n",
    )
    scratch.change("tasks/toy.py", 'table["value"].mean()', 'table[table["metric"] == "dsc"]["value"].mean()')
    said = scratch("submission", "rescore", "mine", "--dir", str(entries))
    assert "area" in said
    results = json.loads(next((entries / "mine" / "runs").glob("*/results.json")).read_text())
    assert {row["metric"] for row in results["table"]} == {"dsc", "area"}
