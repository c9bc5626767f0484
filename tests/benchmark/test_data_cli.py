"""`cxrbench data` and the catalogue behind it: import, list, verify, show; the phantom kept and drawn
anew.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.data import app
from cxrbench.benchmark.cli.data_summary import larger_presets
from cxrbench.benchmark.data import catalogue
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.phantom import dataset as phantom
from cxrbench.benchmark.errors import InputError


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def _damage(path):
    """Change one bit, in a new file: the old one may be mapped."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.fixture
def manifest(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["id,path,patient,split,mask"]
    for row in range(4):
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(tmp_path / f"{row}.png")
        Image.fromarray(rng.integers(0, 2, (32, 32), dtype=np.uint8)).save(tmp_path / f"{row}m.png")
        lines.append(f"f{row},{row}.png,p{row},{'test' if row % 2 else 'train'},{row}m.png")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines))
    return path


MANIFEST = ("--name", "mine", "--organs", "heart=1")


@pytest.fixture
def imported(manifest):
    _run("import", "manifest", manifest, *MANIFEST, "--resolution", 32)
    return "mine"


def test_import_says_what_was_found_and_where_it_is(manifest, home):
    text = _run("import", "manifest", manifest, *MANIFEST, "--resolution", 32)
    assert "4 films of 4 patients, 32 x 32 pixels" in text
    assert "heart" in text
    assert "test 2, train 2" in text
    assert str(home / "datasets" / "mine") in text
    assert "(of the films as kept, at 32 pixels; a run's is of them at its task's resolution)" in text


def test_import_as_json_is_json_alone(manifest):
    found = json.loads(_run("import", "manifest", manifest, *MANIFEST, "--json"))
    assert found["films"] == 4
    assert found["split"] == {"test": 2, "train": 2}


def test_list_has_the_phantom_and_what_was_imported(imported, home):
    found = {entry["name"]: entry for entry in json.loads(_run("list", "--json"))}
    assert list(found) == [*catalogue.EMBEDDED, "mine"]
    assert found["mine"]["films"] == 4
    assert found["mine"]["resolution"] == 32
    assert found["mine"]["organs"] == ["heart"]
    assert "mine" in _run("list")
    (home / "datasets" / "broken").mkdir()
    broken = next(entry for entry in catalogue.list_datasets() if entry.name == "broken")
    assert "cannot be read" in broken.about


def test_a_name_is_replaced_only_by_force(manifest, imported):
    arguments = ["import", "manifest", manifest, *MANIFEST, "--resolution", 16]
    with pytest.raises(InputError, match=r"dataset mine is there already .* --force"):
        _run(*arguments)
    assert catalogue.find_dataset("mine").resolution == 32
    _run(*arguments, "--force")
    assert catalogue.find_dataset("mine").resolution == 16
    assert [entry.name for entry in catalogue.list_datasets()] == [*catalogue.EMBEDDED, "mine"]
    assert [path.name for path in catalogue.datasets_folder().iterdir()] == ["mine"]  # nothing left aside


@pytest.mark.parametrize("name", ["phantom", "../away", "phantom-64-0123456789ab", ""])
def test_some_names_are_not_allowed(name):
    with pytest.raises(InputError, match="cannot be a dataset's name"):
        catalogue.check_free(name, force=True)


def test_a_failed_import_leaves_nothing(manifest, home):
    (manifest.parent / "2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2\.png is empty"):
        _run("import", "manifest", manifest, *MANIFEST)
    assert not (home / "datasets").exists()


def test_verify_passes_and_names_a_damaged_file(imported, home):
    assert "sha256" in _run("verify", "mine")
    assert json.loads(_run("verify", "mine", "--json"))["ok"] is True
    _damage(home / "datasets" / "mine" / "masks.npy")
    with pytest.raises(InputError, match=r"masks\.npy .* is not as it was imported"):
        _run("verify", "mine")


def test_show_writes_a_png(imported, tmp_path):
    out = tmp_path / "sheet.png"
    assert str(out) in _run("show", "mine", "--out", out, "--count", 2)
    with Image.open(out) as sheet:
        assert sheet.size[0] > 512


def test_unknown_datasets_get_the_nearest_names(imported):
    with pytest.raises(InputError, match=r"unknown dataset 'mien'\. Did you mean mine\?"):
        catalogue.find_dataset("mien")


def test_a_dataset_is_found_by_name_and_by_path(imported, home):
    by_name = catalogue.find_dataset("mine", 32)
    assert catalogue.find_dataset(home / "datasets" / "mine").digest == by_name.digest


def test_a_smaller_resolution_is_made_once_and_kept(imported, home):
    small = catalogue.find_dataset("mine", 16)
    assert small.resolution == 16
    assert isinstance(small.images, np.memmap)
    np.testing.assert_array_equal(small.images, catalogue.find_dataset("mine").resized(16).images)
    again = catalogue.find_dataset("mine", 16)
    assert again.folder == small.folder
    expected = np.array(small.images)
    _damage(small.folder / "images.npy")
    np.testing.assert_array_equal(catalogue.find_dataset("mine", 16).images, expected)


def test_detail_is_not_invented(imported):
    with pytest.raises(InputError, match="kept at 32 pixels, 64 were asked for; import it again with --resolution 64"):
        catalogue.find_dataset("mine", 64)


def test_the_phantom_is_a_dataset_with_the_official_splits(home):
    drawn = catalogue.find_dataset("phantom", 16)
    entry = catalogue.EMBEDDED["phantom"][1]
    assert (len(drawn), drawn.organs) == (entry.films, entry.organs)
    assert drawn.cases["split"].value_counts().to_dict() == {"train": 124, "test": 123}
    assert drawn.info.pixel_mm == pytest.approx(0.175 * 2048 / 16)
    assert "not comparable" in drawn.info.provenance
    assert drawn.folder.parent == home / "datasets"
    assert [one.name for one in catalogue.list_datasets()] == list(catalogue.EMBEDDED)


def _fake_phantom(monkeypatch, value: int) -> list[int]:
    """A phantom drawn at once; counts how often."""
    drawings: list[int] = []

    def jsrt_like(resolution, progress):
        drawings.append(resolution)
        ids = list(phantom.jsrt_like_ids())
        for name in ids:
            progress(name)
        images = np.full((len(ids), resolution, resolution), value, dtype=np.uint8)
        return ids, images, np.zeros_like(images)

    monkeypatch.setattr(phantom, "jsrt_like", jsrt_like)
    return drawings


def test_the_phantom_is_drawn_once_and_anew_when_damaged_or_its_code_changed(monkeypatch):
    drawings = _fake_phantom(monkeypatch, 7)
    first = phantom.phantom_dataset(16)
    phantom.phantom_dataset(16)
    assert drawings == [16]
    _damage(first.folder / "images.npy")
    assert (phantom.phantom_dataset(16).images == 7).all()
    assert drawings == [16, 16]
    monkeypatch.setattr(phantom, "_code_digest", lambda: "f" * 64)
    assert phantom.phantom_dataset(16).folder != first.folder
    assert drawings == [16, 16, 16]


def test_import_jsrt_checks_the_name_before_it_reads(tmp_path):
    with pytest.raises(InputError, match="'phantom' cannot be a dataset's name"):
        _run("import", "jsrt", tmp_path, "--name", "phantom")
    with pytest.raises(InputError, match=r"no \.IMG file in .* db\.jsrt\.or\.jp"):
        _run("import", "jsrt", tmp_path)


def test_official_ids_are_held_against_the_official_split():
    ids = ["JPCLN001", "JPCLN002"]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": ["train", "test"], "fold": [0, 1]})
    info = DatasetInfo(name="part", resolution=16)
    catalogue.keep(Dataset(info=info, images=np.zeros((2, 16, 16), np.uint8), cases=cases))
    with pytest.raises(InputError, match="scr_official: the test split has 1 cases, expected 123; missing: JPCLN004"):
        _run("verify", "part")


def test_options_that_are_no_pairs_or_numbers_are_refused(manifest):
    with pytest.raises(InputError, match="--columns: expected name=value pairs"):
        _run("import", "manifest", manifest, "--name", "x", "--columns", "id")
    with pytest.raises(InputError, match="--organs: expected a whole number, found 'one'"):
        _run("import", "manifest", manifest, "--name", "x", "--organs", "heart=one")


def test_the_command_and_the_catalogue_import_nothing_heavy():
    code = (
        "import sys; from cxrbench.benchmark.cli import data; from cxrbench.benchmark.data.catalogue import "
        "list_datasets; "
        "list_datasets(); print([name for name in ('torch', 'pandas', 'numpy', 'cv2') if name in "
        "sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_import_and_a_sheet_show_what_was_understood(manifest, home, tmp_path):
    text = _run("import", "manifest", manifest, "--name", "mine", "--masks", "labels:heart=1", "--resolution", 32)
    for line in ("understood", "grey levels", "masks: labels heart=1"):
        assert line in text
    assert "covers 50" in text.replace("covers 49", "covers 50").replace("covers 51", "covers 50")
    shown = _run("show", "mine", "--out", tmp_path / "sheet.png")
    assert "noticed" in shown and "masks: labels heart=1" in shown and "grey levels" in shown


def test_what_masks_hold_is_said_once(manifest, home):
    both = [str(manifest), "--name", "mine", "--masks", "labels:heart=1", "--organs", "heart=1"]
    result = CliRunner().invoke(app, ["import", "manifest", *both])
    assert isinstance(result.exception, InputError) and "not both" in str(result.exception)


def test_an_import_says_which_presets_need_more_pixels(tmp_path):
    ids = [f"case{n}" for n in range(2)]
    cases = pd.DataFrame({"id": ids, "patient": ids})

    def lines(side, masks):
        images = np.zeros((2, side, side), dtype=np.uint8)
        info = DatasetInfo(name="jsrt_scr", resolution=side, organs=("heart",) if masks else ())
        return larger_presets(Dataset(info, images, cases, masks=images if masks else None))

    assert lines(512, True) == [
        "kept at 512 pixels; scr_official needs more at preset paper 1024: import again with --resolution 1024 --force"
    ]
    assert lines(1024, True) == [] == lines(16, False)  # films without masks suit no task of masks
    assert any("scr_official needs more at preset standard 256, paper 1024" in line for line in lines(128, True))
