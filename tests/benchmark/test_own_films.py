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

    assert f"`cxrbench data import manifest {mine} --split patients:0.5 --patient-from id --name NAME`" in said()
    assert kept(mine, **EACH) == "mine"
    (mine / "films.csv").write_text("path\nfilms/case_0001.png\n")
    assert f"`cxrbench data import manifest {mine}/films.csv --split patients:0.5 --name NAME`" in said()


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


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """Three patients, two visits each: `P0001/visit1/film.jpg` with `lungmask.png` beside it."""
    folder = tmp_path / "visits"
    for patient in (1, 2, 3):
        for visit in (1, 2):
            place = folder / f"P{patient:04}" / f"visit{visit}"
            place.mkdir(parents=True)
            draw = np.random.default_rng(10 * patient + visit)
            Image.fromarray(draw.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(place / "film.jpg")
            Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(place / "lungmask.png")
    return folder


FILM, MASK = "{patient}/{visit}/film.jpg", "{patient}/{visit}/lungmask.png"


def not_imported(folder: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        import_manifest(folder, SIDE, options=ManifestOptions(**{"path": FILM, "id_from": "path", **options}))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_masks_of_one_organ_are_told_how_that_is_said(visits: Path, mine: Path) -> None:
    said = not_imported(visits, masks=(MASK,))
    assert "labels:left_lung=1" in said and said.endswith(f"; where they are of one organ: --mask 'lungs={MASK}'")
    made = import_manifest(visits, SIDE, options=ManifestOptions(path=FILM, masks=(f"lungs={MASK}",), id_from="path"))
    assert made.organs == ("lungs",) and len(made) == 6
    (mine / "masks" / "lungs").rename(mine / "lungs")
    (mine / "masks").rmdir()
    (mine / "lungs").rename(mine / "masks")
    said = not_imported(mine, path=None, id_from=None)
    assert said.endswith("; where they are of one organ: --mask 'lungs=masks/{stem}.png'")
    (mine / "films.csv").write_text("path,mask\nfilms/case_0001.png,masks/case_0001.png\n")
    assert "--mask 'lungs={mask}'" in not_imported(mine / "films.csv", path=None, id_from=None)
    made = import_manifest(mine / "films.csv", SIDE, options=ManifestOptions(masks=("lungs={mask}",)))
    assert made.organs == ("lungs",)


def test_a_template_that_no_film_fits_names_one_and_braces_without_a_partner(visits: Path) -> None:
    said = not_imported(visits, path="{patient}/film.jpg")
    assert said.endswith("says; found e.g. P0001/visit1/film.jpg (12 pictures)")
    assert "says; a { or } of it has no partner; found" in not_imported(visits, path="{patient}/{visit/film.jpg")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{pateint}/{visit}/film.jpg", "; --path has pateint, visit: did you mean {patient} for {pateint}?"),
        ("{who}/{visit}/film.jpg", "; --path has who, visit: call that of the person {patient}."),
    ],
)
def test_a_template_without_the_patient_names_its_fields_before_another_way(
    visits: Path, template: str, said: str
) -> None:
    found = not_imported(visits, path=template, split="patients:0.5")
    assert said in found and found.index(said) < found.index("--patient-from id")


def test_a_misspelt_column_of_patients_is_proposed(mine: Path) -> None:
    (mine / "films.csv").write_text("path,pateint,inpatient\nfilms/case_0001.png,P1,0\n")
    said = not_imported(mine / "films.csv", path=None, id_from=None, split="patients:0.5")
    assert "did you mean 'pateint' (--columns 'patient=pateint')?" in said


def test_a_folder_that_does_not_exist_is_told_with_the_nearest(visits: Path) -> None:
    assert (
        not_imported(visits.with_name("visist"))
        == f"{visits.with_name('visist')} does not exist; did you mean {visits}?"
    )


def test_a_mask_that_is_not_there_is_told_with_the_picture_that_may_be_it(visits: Path) -> None:
    assert "; there is lungmask.png; put them" in not_imported(visits, masks=("lungs={patient}/{visit}/lung.png",))
    assert "; there is lungmask.png; put them" in not_imported(visits, masks=("lungs={patient}/{visit}/seg.png",))
    (visits / "P0001/visit1/other.png").write_bytes((visits / "P0001/visit1/lungmask.png").read_bytes())
    assert "there is" not in not_imported(visits, masks=("lungs={patient}/{visit}/seg.png",))
    (visits / "P0001/visit1/film2_lungmask.png").write_bytes(b"")
    assert "there is" not in not_imported(visits, masks=("lungs={patient}/{visit}/film1_lungmask.png",))
