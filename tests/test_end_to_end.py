"""The main job with the real task and its networks: short trainings on the phantom, and real films where they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrbench.benchmark.results.folder import load_scores

SHORT = ["task.steps=6", "task.check_every=2", "task.synthetic=24"]
SIZES = {
    "full": ("synthetic", "finetune"),
    "31": ("synthetic", "mixed"),
    "tiny": ("synthetic", "finetune", "mixed"),
}
"""The arms with synthetic films of every size."""
CELLS = {(size, arm) for size, arms in SIZES.items() for arm in ("real", *arms, *(f"placebo_{one}" for one in arms))}


@pytest.fixture
def run(monkeypatch, tmp_path, here) -> Callable[..., dict]:
    """`cxrbench run` in a home, on a processor: the results that it has written."""

    def results(*arguments: str, home: Path, out: str = "out") -> dict:
        monkeypatch.setenv("CXRBENCH_HOME", str(home))
        done = here("run", *arguments, "--device", "cpu", "--out", out)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / out / "results.json").read_text())

    return results


def options(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def test_the_number_and_order_of_jobs_change_no_bit(tmp_path, run):
    """Two jobs at a time against one, in two homes: every case score of every cell that both have is equal, to the last
    bit. The second has one size alone, so that its cells come in another order too."""
    short = ["--provider", "classical", *options(*SHORT)]
    first = run(*short, "--jobs", "2", home=tmp_path / "a", out="a_out")
    second = run(*short, "--jobs", "1", "--sizes", "tiny", home=tmp_path / "b", out="b_out")
    assert [row for row in first["table"] if row["size"] == "tiny"] == second["table"] != []
    columns = ["size", "arm", "seed", "case", "structure", "metric"]
    a, b = (load_scores(tmp_path / out).sort_values(columns, ignore_index=True) for out in ("a_out", "b_out"))
    assert a[a["size"] == "tiny"].reset_index(drop=True).equals(b)
    assert len(a) == len(CELLS) * 123 * 3 * 7 and len(b) == sum(size == "tiny" for size, _ in CELLS) * 123 * 3 * 7
    assert set(zip(a["size"], a["arm"], strict=True)) == CELLS
    gains = {(row["size"], row["arm"]) for row in first["gains"]}
    assert gains == {(size, arm) for size, arms in SIZES.items() for arm in arms}


REAL = pytest.mark.real_data


@pytest.fixture(scope="module")
def kermany(tmp_path_factory) -> Path:
    """A home with the 247 real films in it."""
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
    source = Path(place) / "kermany_lungs" / "metadata.csv"
    names = ["--columns", "id=stem,patient=person", "--path", "images/{stem}.png", "--mask", "masks/{stem}.png"]
    organs = ["--organs", "left_lung=1,right_lung=2", "--name", "kermany"]
    home = tmp_path_factory.mktemp("kermany")
    words = ["-m", "cxrbench.benchmark.cli", "data", "import", "manifest", str(source), *names, *organs]
    environment = os.environ | {"CXRBENCH_HOME": str(home)}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return home


@REAL
def test_real_films_reach_a_pooled_dice_of_90_percent_for_both_lungs(kermany, run):
    words = ["--provider", "copy_train", "--data", "kermany", "--arms", "real", "--sizes", "full"]
    table = run(*words, home=kermany)["table"]
    full = {
        row["structure"]: row["value"]
        for row in table
        if row["size"] == "full" and row["metric"] == "dsc" and row["structure"] != "average"
    }
    assert set(full) == {"left_lung", "right_lung"}
    assert min(full.values()) >= 0.90


@REAL
def test_three_stage_runs_on_real_films_from_end_to_end(kermany, run):
    """Every arm and size, with trainings of a few steps: what is learnt is not the claim here, that it runs is. The dots are
    trained whole: whether hardly trained ones show every organ is luck."""
    short = options(*SHORT, "labels.steps=20", "films.steps=5")
    results = run("--provider", "three_stage", "--data", "kermany", *short, home=kermany)
    states = {(cell["size"], cell["arm"]): cell["status"] for cell in results["cells"]}
    assert set(states.values()) == {"done"} and set(states) == CELLS
