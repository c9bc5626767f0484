"""The JSRT/SCR importer on files written in the official formats: raw big-endian .IMG and a .gif per
organ.
"""

from __future__ import annotations

import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.data import splits
from cxrbench.benchmark.data.importers.jsrt import FILM_PIXEL_MM, ORGANS, import_jsrt
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

IDS = ("JPCLN001", "JPCLN002", "JPCNN001", "JPCNN002")
SIDE, MASK_SIDE = 64, 32
small = partial(import_jsrt, resolution=16, side=SIDE, mask_side=MASK_SIDE, ids=IDS)


def _raw(name: str, side: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng([side, *name.encode()])
    return rng.integers(0, 4096, (side, side), dtype=np.uint16)


def _mask(organ: str, side: int = MASK_SIDE) -> np.ndarray:
    """A block of its own for every organ; the clavicle overlaps the lung on its side."""
    mask = np.zeros((side, side), dtype=bool)
    rows, columns = {
        "left_lung": ((4, 16), (20, 28)),
        "right_lung": ((4, 16), (2, 10)),
        "heart": ((12, 24), (12, 20)),
        "left_clavicle": ((2, 6), (18, 30)),
        "right_clavicle": ((2, 6), (2, 12)),
    }[organ]
    scale = side // 32
    mask[rows[0] * scale : rows[1] * scale, columns[0] * scale : columns[1] * scale] = True
    return mask


def _write_film(folder: Path, name: str, side: int = SIDE, suffix: str = ".IMG") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{suffix}"
    path.write_bytes(_raw(name, side).astype(">u2").tobytes())
    return path


def _write_masks(root: Path, name: str, side: int = MASK_SIDE) -> None:
    fold = "fold1" if int(name[-1]) % 2 else "fold2"
    for organ in ORGANS:
        folder = root / fold / "masks" / organ.replace("_", " ")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_mask(organ, side).astype(np.uint8) * 255).save(folder / f"{name}.gif")


@pytest.fixture
def download(tmp_path):
    """(films, masks): folders nested as people have them."""
    films, masks = tmp_path / "JSRT", tmp_path / "SCR"
    for number, name in enumerate(IDS):
        _write_film(films / "Nodule154images", name, suffix=".IMG" if number % 2 else ".img")
        _write_masks(masks / "scratch", name)
    return films, masks


def _zip(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, path.relative_to(folder))
    return archive


def test_films_are_inverted_area_means_of_the_raw_values(download):
    dataset = small(*download)
    assert dataset.ids == sorted(IDS)
    for row, name in enumerate(dataset.ids):
        blocks = _raw(name).reshape(16, 4, 16, 4).mean(axis=(1, 3))
        expected = 255 * (1 - blocks / 4095)
        assert np.abs(dataset.images[row] - expected).max() <= 0.5 + 1e-3


def test_bit_i_of_the_masks_is_organ_i_and_organs_overlap(download):
    dataset = small(*download)
    assert dataset.organs == ORGANS
    for bit, organ in enumerate(ORGANS):
        expected = _mask(organ)[::2, ::2]  # blocks are even: half the size is exact
        np.testing.assert_array_equal((dataset.masks[0] >> bit) & 1, expected)
    assert (dataset.masks[0] == 0b01001).any()  # left clavicle over left lung
    assert (dataset.masks[0] == 0b10010).any()


def test_a_mask_pixel_is_set_where_half_of_it_is_covered(download):
    films, masks = download
    heart = np.zeros((MASK_SIDE, MASK_SIDE), dtype=np.uint8)
    heart[0:2, 0:1] = heart[8:9, 8:9] = 255  # two of four pixels, one of four
    Image.fromarray(heart).save(masks / "scratch/fold1/masks/heart/JPCLN001.gif")
    found = small(films, masks).organ_masks(["heart"])[0, 0]
    assert np.argwhere(found).tolist() == [[0, 0]]


def test_cases_have_the_official_split_and_one_patient_each(download):
    cases = small(*download).cases
    assert list(cases["split"]) == ["train", "test", "train", "test"]
    assert list(cases["patient"]) == list(cases["id"])
    assert set(cases["fold"]) <= {0, 1, 2}


def test_zips_give_the_same_dataset_as_folders(download, tmp_path):
    films, masks = download
    expected = small(films, masks).digest
    archives = _zip(films, tmp_path / "films.zip"), _zip(masks, tmp_path / "scr.zip")
    assert small(*archives).digest == expected
    (tmp_path / "both").mkdir()
    for archive in archives:
        shutil.move(archive, tmp_path / "both")
    assert small(tmp_path / "both").digest == expected  # zips within a folder, masks found beside the films


def test_a_full_size_film_of_the_official_format(tmp_path):
    ids = ["JPCLN001", "JPCLN002", "JPCNN093"]
    for name in ids:
        _write_film(tmp_path / "films", name, side=2048)
        _write_masks(tmp_path / "scr", name, side=1024)
    heard: list[float] = []
    dataset = import_jsrt(
        tmp_path / "films",
        tmp_path / "scr",
        128,
        ids=ids,
        progress=Progress(lambda fraction, _: heard.append(fraction)),
    )
    blocks = _raw("JPCLN001", 2048).reshape(128, 16, 128, 16).mean(axis=(1, 3))
    assert np.abs(dataset.images[0] - 255 * (1 - blocks / 4095)).max() <= 0.5 + 1e-2
    np.testing.assert_array_equal(dataset.organ_masks(["heart"])[0, 0], _mask("heart", 128))
    assert dataset.info.pixel_mm == pytest.approx(FILM_PIXEL_MM * 16)  # 2.8 mm
    assert heard == pytest.approx([1 / 3, 2 / 3, 1])


def test_all_247_films_pass_the_pinned_splits(tmp_path):
    for name in splits.JSRT_IDS:
        _write_film(tmp_path / "films", name, side=16)
        _write_masks(tmp_path / "scr", name, side=32)
    dataset = import_jsrt(tmp_path / "films", tmp_path / "scr", 16, side=16, mask_side=32)
    assert dataset.cases["split"].value_counts().to_dict() == {"train": 124, "test": 123}
    assert dataset.cases["fold"].value_counts().to_dict() == {0: 83, 1: 82, 2: 82}


def _error(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        small(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_truncated_film_is_named_with_its_size(tmp_path):
    path = _write_film(tmp_path / "films", "JPCLN016", side=2048)
    with path.open("r+b") as handle:
        handle.truncate(8_388_600)
    _write_masks(tmp_path / "scr", "JPCLN016", side=32)
    with pytest.raises(InputError) as caught:
        import_jsrt(tmp_path / "films", tmp_path / "scr", ids=["JPCLN016"])
    assert str(caught.value) == (
        "jsrt: JPCLN016.IMG has 8,388,600 bytes, expected 8,388,608 (2048 x 2048, 16 bit): truncated "
        "download? "
        "Nothing was imported."
    )


def test_little_endian_films_are_refused(download):
    films, masks = download
    (films / "Nodule154images/JPCLN002.IMG").write_bytes(_raw("JPCLN002").astype("<u2").tobytes())
    assert "JPCLN002.IMG has values up to" in _error(films, masks)


def test_missing_folders_tell_where_to_register(download, tmp_path):
    films, masks = download
    assert "does not exist; register at db.jsrt.or.jp" in _error(tmp_path / "nowhere", masks)
    assert "does not exist; register at the SCR page" in _error(films, tmp_path / "nowhere")


def test_empty_folders_tell_where_to_register(download, tmp_path):
    films, masks = download
    assert "no .IMG file in" in _error(masks, masks)
    message = _error(films)
    assert "no SCR masks in" in message
    assert "register at the SCR page of the Image Sciences Institute" in message


def test_missing_films_are_counted_and_named(download):
    films, masks = download
    (films / "Nodule154images/JPCLN002.IMG").unlink()
    _write_film(films, "JPCLN999")
    expected = "4 films found, expected 4 (2 JPCLN and 2 JPCNN); missing: JPCLN002; unexpected: JPCLN999"
    assert expected in _error(films, masks)


def test_the_official_count_is_247(download):
    with pytest.raises(InputError, match=r"4 films found, expected 247 \(154 JPCLN and 93 JPCNN\); missing: JPCLN003"):
        import_jsrt(*download, 16, side=SIDE, mask_side=MASK_SIDE)


def test_a_film_in_two_folders_is_a_duplicate(download):
    films, masks = download
    _write_film(films / "again", "JPCLN002")
    message = _error(films, masks)
    assert "JPCLN002 is there twice" in message
    assert "Nodule154images/JPCLN002.IMG" in message
    assert "again/JPCLN002.IMG" in message


def test_a_mask_in_two_folds_is_a_duplicate(download):
    films, masks = download
    shutil.copy(masks / "scratch/fold1/masks/heart/JPCLN001.gif", masks / "scratch/fold2/masks/heart")
    assert "the heart mask of JPCLN001 is there twice" in _error(films, masks)


def test_a_missing_mask_names_film_and_organ(download):
    films, masks = download
    (masks / "scratch/fold2/masks/left clavicle/JPCNN002.gif").unlink()
    assert "missing SCR masks: JPCNN002 (left_clavicle)" in _error(films, masks)


def test_a_mask_of_another_size_names_both_sizes(download):
    films, masks = download
    Image.new("L", (40, 32), 255).save(masks / "scratch/fold1/masks/heart/JPCLN001.gif")
    assert "mask heart/JPCLN001.gif is 40 x 32, expected 32 x 32" in _error(films, masks)


def test_an_empty_mask_and_a_broken_gif_are_refused(download):
    films, masks = download
    path = masks / "scratch/fold1/masks/heart/JPCLN001.gif"
    Image.new("L", (MASK_SIDE, MASK_SIDE), 0).save(path)
    assert "must have two values, background 0 and the organ; found 1 (0)" in _error(films, masks)
    path.write_bytes(b"GIF89a")
    assert "cannot be read as a GIF" in _error(films, masks)


def test_a_damaged_zip_is_one_line(download, tmp_path):
    films, masks = download
    archive = _zip(films, tmp_path / "films.zip")
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    assert "is not a readable zip archive" in _error(archive, masks)
    damaged = bytearray(data)
    damaged[200:260] = bytes(60)  # within the first film
    archive.write_bytes(damaged)
    assert "damaged or encrypted archive?" in _error(archive, masks)


def test_hidden_twins_of_other_systems_are_not_films(download):
    films, masks = download
    (films / "__MACOSX").mkdir()
    (films / "__MACOSX" / "._JPCLN001.IMG").write_bytes(b"x")
    assert len(small(films, masks)) == 4


def test_a_resolution_above_the_film_is_refused(download):
    assert "the resolution must be 16 to 64 pixels, found 128" in _error(*download, resolution=128)
