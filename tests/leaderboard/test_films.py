"""Films that moved: pixels alone or the truth, in one line that says whether a processor explains it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.data.catalogue import EMBEDDED, find_dataset, keep
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.importers.kermany import import_kermany
from cxrbench.benchmark.data.phantom.versions import KNOWN, VERSION, newest_of, version_of
from cxrbench.benchmark.runs.record import DataIdentity
from cxrbench.leaderboard.checks import Sources, check_entry
from cxrbench.leaderboard.checks.subject import films_at_hand
from cxrbench.leaderboard.films import Change, films_moved, version_said

from .conftest import Squares, own_sources, squares


def films(name: str = "phantom", version: str = "2") -> Dataset:
    """Four films with a mask."""
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    cases = pd.DataFrame({"id": list("abcd"), "patient": list("abcd")})
    info = DatasetInfo(name=name, version=version, resolution=8, organs=("heart",))
    return Dataset(info, images, cases, (images > 99).astype(np.uint8))


def said_of(data: Dataset, **changes: str) -> DataIdentity:
    """What a record says of films."""
    pair = digest.of_json([data.digest, data.digest])
    return DataIdentity(name=data.info.name, digest=pair, version=data.info.version, truth=data.truth).model_copy(
        update=changes
    )


def other_pixels(data: Dataset) -> Dataset:
    """The same films with one grey level in one pixel of one of them moved."""
    images = data.images.copy()
    images[1, 2, 3] += 1
    return replace(data, images=images)


# ---------------------------------------------------------------------------------------------------------- the digests


def test_truth_is_everything_but_the_pixels():
    data = films()
    assert other_pixels(data).truth == data.truth and other_pixels(data).digest != data.digest
    masks = data.masks.copy()
    masks[0, 0, 0] ^= 1
    for changed in (
        replace(data, masks=masks),
        replace(data, cases=data.cases.assign(patient=list("aacd"))),
        replace(
            data, boxes=pd.DataFrame({"id": ["a"], "finding": ["Mass"], "x": [1.0], "y": [1.0], "w": [2.0], "h": [2.0]})
        ),
        replace(data, info=data.info.changed(pixel_mm=0.5)),
    ):
        assert changed.truth != data.truth and changed.digest != data.digest


def test_truth_is_kept_on_disk_and_goes_with_a_change(tmp_path):
    kept = films().save(tmp_path / "films")
    assert kept.info.truth == kept.truth == films().truth
    part = kept.select([0, 1])
    assert part.info.truth == "" and part.truth != kept.truth


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_phantoms_of_this_version_are_known(name):
    data = find_dataset(name, 64)
    version = int(data.info.version)
    assert version == newest_of(name) and (name == "phantom_hard" or data.info.version == VERSION)
    assert KNOWN[name, 64][version] == (data.digest,)
    assert version_of(name, digest.of_json([data.digest, data.digest])) == version


def test_every_way_in_which_version_1_was_drawn_is_known():
    """The digests that committed entries, and machines without AVX-512, had of it."""
    for name, pair in (("phantom", "17880d66cdd5"), ("phantom_nih", "057ee230a7db"), ("phantom_nih", "fb05fb21bf6c")):
        pairs = [digest.of_json([one, one]) for one in KNOWN[name, 64][1]]
        assert [version_of(name, one) for one in pairs if one.startswith(pair)] == [1]


# ----------------------------------------------------------------------------------------------------------- in one line


def test_the_same_films_have_not_moved():
    assert films_moved(said_of(films()), films(), films()) is None


def test_pixels_alone_are_said_for_what_they_are_and_no_processor_explains_a_phantom():
    moved = films_moved(said_of(films()), other_pixels(films()), other_pixels(films()))
    assert moved.change is Change.PIXELS
    assert "the pixels alone differ" in moved.words and "no processor explains it" in moved.words


def test_pixels_of_imported_films_are_explained_by_a_decoder():
    data = films("hospital", "1")
    moved = films_moved(said_of(data), other_pixels(data), other_pixels(data))
    assert moved.change is Change.PIXELS and "decoder explains it" in moved.words


def test_another_truth_is_no_matter_of_pixels():
    data = films()
    other = replace(data, cases=data.cases.assign(patient=list("aacd")))
    moved = films_moved(said_of(data), other, other)
    assert moved.change is Change.TRUTH and "other ids, masks, labels or boxes" in moved.words


def test_an_old_entry_is_of_version_1():
    then = DataIdentity(name="phantom", digest=digest.of_json([KNOWN["phantom", 64][1][0]] * 2))
    unknown = DataIdentity(name="phantom", digest="0" * 64)
    for said in (then, unknown):
        assert version_said(said) == 1
        moved = films_moved(said, films(), films())
        assert moved.change is Change.TRUTH and "version 1" in moved.words and "here is version 2" in moved.words
    assert version_said(DataIdentity(name="hospital", digest="0" * 64)) is None


# ------------------------------------------------------------------------------------------------------------- the checker


def test_an_entry_on_other_pixels_is_scored_from_the_truth_and_passes_with_a_note(entry):
    verdict = check_entry(entry, sources=own_sources(other_pixels(squares())))
    found, rescored = (finding for finding in verdict.findings if finding.check == "splits")
    assert verdict.passed and found.level == "note" and "the pixels alone differ" in found.message
    assert rescored.level == "note" and "recomputed from predictions" in rescored.message


def test_an_entry_on_another_truth_is_refused(entry):
    films = squares()
    masks = films.masks.copy()
    masks[3, 0, 0] ^= 1
    verdict = check_entry(entry, sources=own_sources(replace(films, masks=masks)))
    assert verdict.status == "refused"
    assert any("other ids, masks, labels or boxes" in finding.message for finding in verdict.findings)


def test_an_entry_of_an_older_protocol_says_that_its_films_are_of_version_1(pack_system):
    class Newer(Squares):
        version = 2

    data = squares()
    drawn = replace(data, info=data.info.changed(name="phantom", version="1"))
    folder = pack_system(films=drawn)
    verdict = check_entry(folder, sources=Sources(task=lambda name: Newer, films=lambda name, resolution: drawn))
    (words,) = {finding.message for finding in verdict.findings if "protocol version" in finding.message}
    assert verdict.status == "refused"
    assert words == (
        "protocol version 1 of squares, on films of version 1, which other processors drew with other grey levels; "
        "this cxrbench has version 2: run it again"
    )


# ----------------------------------------------------------------------------------------------- a folder of downloads


@pytest.fixture
def nothing_imported(tmp_path, monkeypatch):
    """A home without datasets, and nothing remembered."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    films_at_hand.cache_clear()
    yield
    films_at_hand.cache_clear()


def test_films_that_are_not_among_the_downloads_are_not_at_hand(nothing_imported, tmp_path, monkeypatch):
    monkeypatch.delenv("CXRBENCH_REAL_DATA", raising=False)
    assert films_at_hand("kermany_lungs", 64) is None
    films_at_hand.cache_clear()
    monkeypatch.setenv("CXRBENCH_REAL_DATA", str(tmp_path))
    (tmp_path / "kermany_lungs").mkdir()  # not whole
    (tmp_path / "secret").mkdir()  # no importer knows it
    assert films_at_hand("kermany_lungs", 64) is None and films_at_hand("secret", 64) is None


@pytest.mark.real_data
def test_downloaded_films_are_those_that_were_imported(nothing_imported):
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place or not (Path(place) / "kermany_lungs").is_dir():
        pytest.skip("CXRBENCH_REAL_DATA names no folder with these films")
    found = films_at_hand("kermany_lungs", 64)
    assert found is not None and (len(found), found.resolution) == (247, 64)
    keep(import_kermany(Path(place) / "kermany_lungs"))
    films_at_hand.cache_clear()
    imported = films_at_hand("kermany_lungs", 64)
    assert imported is not None and imported.digest == found.digest
