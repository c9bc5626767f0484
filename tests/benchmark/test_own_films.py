"""From a folder of own films to a run: what is missing on the way is said with what mends it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.cli.init import init
from cxrbench.benchmark.cli.run import check_writable
from cxrbench.benchmark.cli.working import plan_line
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs.request import CurveRequest, Request, prepare, prepare_curve

FILMS, SIDE = 40, 64
EACH = {"split": "patients:0.5", "patient_from": "id"}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for number in range(FILMS):
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[20 : 40 + number % 9, 10:30] = 255
        pixels = draw.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        for place, values in (("films", pixels), ("masks/lungs", mask)):
            file = tmp_path / "mine" / place / f"case_{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(file)
    return tmp_path / "mine"


def kept(folder: Path, **options: object) -> str:
    return str(keep(import_manifest(folder, SIDE, options=ManifestOptions(**options)), force=True).info.name)


def refused(request: Request | CurveRequest) -> str:
    with pytest.raises(InputError) as caught:
        prepare(request) if isinstance(request, Request) else prepare_curve(request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_init_names_the_import_of_a_folder_and_of_the_table_in_it(mine: Path, tmp_path: Path) -> None:
    def said() -> str:
        with pytest.raises(InputError) as caught:
            init(provider="classical", data=str(mine), seeds=5, out=tmp_path / "run.toml")
        return str(caught.value)

    assert f"`cxrbench data import manifest {mine} --name NAME --split patients:0.5 --patient-from id`" in said()
    assert kept(mine, **EACH) == "mine"
    (mine / "films.csv").write_text("path\nfilms/case_0001.png\n")
    assert f"`cxrbench data import manifest {mine}/films.csv --name NAME --split patients:0.5`" in said()


def test_a_run_on_films_without_a_split_says_how_they_get_one(mine: Path) -> None:
    name = kept(mine)
    said = refused(Request(provider="classical", task="scr_official", data=name))
    cure = (
        "import the films again with --{} --force added (and --patient-from id, where every film is of another person)"
    )
    assert said.endswith(cure.format("split patients:0.5"))
    said = refused(CurveRequest(task="scr_3fold", data=name))
    assert "has no column 'fold'" in said and said.endswith(cure.format("fold patients:3"))


def test_a_size_that_the_training_films_do_not_exceed_is_refused_with_their_number(mine: Path) -> None:
    name = kept(mine, **EACH)
    said = refused(Request(provider="classical", task="scr_official", data=name, sizes=("31",)))
    assert said == "--sizes 31: 31 needs more than 31 training films, there are 20"
    assert "unknown size '15'" in refused(Request(provider="classical", task="scr_official", data=name, sizes=("15",)))


def test_a_plan_says_which_asked_arm_is_not_run_at_which_asked_size_and_how_it_is(mine: Path) -> None:
    name = kept(mine, **EACH)

    def plan(*sizes: str, arms: tuple[str, ...]) -> str:
        request = Request(provider="classical", task="scr_official", data=name, sizes=sizes, arms=arms)
        return plan_line(prepare(request))

    said = plan("full", "tiny", arms=("real", "mixed"))
    assert said.splitlines()[1:] == [
        "note   mixed at full is not run: scr_official has mixed at tiny; a run of its own has it: --sizes full --arms mixed"
    ]
    assert "not run" not in plan("full", arms=("real", "mixed"))


def test_a_curve_says_what_ranks_and_what_a_worth_needs(mine: Path) -> None:
    said = plan_line(prepare_curve(CurveRequest(task="scr_official", data=kept(mine, **EACH))))
    assert "full, tiny, 10, 5 x placebo" in said
    assert said.endswith("a run's worth needs sizes here that score less than its arm, and sizes that score more")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of the system that nobody can write")
def test_results_below_a_folder_that_takes_none_are_refused_with_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable(None)
    assert os.listdir(tmp_path) == []
    monkeypatch.chdir("/proc")
    with pytest.raises(InputError, match=r"^cannot write runs: .*; choose another --out$"):
        check_writable(None)
