"""The importer of NIH ChestX-ray14 on small downloads laid out as the official ones, whole and damaged."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.data import app
from cxrbench.benchmark.data import splits
from cxrbench.benchmark.data.catalogue import find_dataset, keep
from cxrbench.benchmark.data.dataset import Annotation
from cxrbench.benchmark.data.findings import FINDINGS
from cxrbench.benchmark.data.importers import nih, nih_films
from cxrbench.benchmark.data.importers.nih import import_nih
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

SIDE = 64
TRAIN = ["00000001_000", "00000001_001", "00000002_000", "00000004_000", "00000004_001", "00000004_002"]
TEST = ["00000003_000", "00000003_001", "00000005_000", "00000006_000"]
FILMS = sorted(TRAIN + TEST)
LABELS = {"00000001_000": "Cardiomegaly|Emphysema", "00000003_001": "Infiltration", "00000005_000": "Mass|Hernia"}
AGES = {"00000001_000": ("58", "058Y"), "00000002_000": ("1", "013M")}
OFFICIAL = splits.OfficialLists(
    films=len(FILMS),
    train=len(TRAIN),
    test=len(TEST),
    films_digest=splits.ids_digest(FILMS),
    train_digest=splits.ids_digest(TRAIN),
    test_digest=splits.ids_digest(TEST),
    boxes=2,
    archives=2,
)
BOXES = ["00000005_000.png,Mass,128,256,512,64.5", "00000003_001.png,Infiltrate,0,0,1024,16"]
small = partial(import_nih, resolution=16, official=OFFICIAL)


def _pixels(film: str, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng([side, *film.encode()]).integers(0, 256, (side, side), dtype=np.uint8)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _film(film: str, side: int = SIDE) -> bytes:
    return _png(Image.fromarray(_pixels(film, side)))


def _row(film: str, of_2017: bool = False) -> str:
    patient, _, followup = film.partition("_")
    age = AGES.get(film, ("40", "040Y"))[of_2017]
    row = f"{film}.png,{LABELS.get(film, 'No Finding')},{int(followup)},{int(patient)},{age},F,PA,2682,2749,0.143,0.143"
    return row + "," * of_2017


HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def _tables(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *map(_row, FILMS)]) + "\n")
    (folder / "train_val_list.txt").write_text("".join(f"{film}.png\n" for film in TRAIN))
    (folder / "test_list.txt").write_text("\n".join(f"{film}.png" for film in TEST))  # no line end at the end
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (folder / "BBox_List_2017.csv").write_bytes("\r\n".join([header, *(f"{box},,," for box in BOXES), ""]).encode())


def _films(folder: Path, films: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for film in films:
        (folder / f"{film}.png").write_bytes(_film(film))


def _archive(path: Path, films: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo("images")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for film, data in films.items():
            member = tarfile.TarInfo(f"images/{film}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def download(tmp_path):
    """Folders as they are after unpacking, the films of one with an inner folder."""
    folder = tmp_path / "nih"
    _tables(folder)
    _films(folder / "images_001" / "images", FILMS[:5])
    _films(folder / "images_002", FILMS[5:])
    return folder


@pytest.fixture
def packed(tmp_path):
    """Archives as they are downloaded."""
    folder = tmp_path / "packed"
    _tables(folder)
    _archive(folder / "images_001.tar.gz", {film: _film(film) for film in FILMS[:5]})
    _archive(folder / "images_002.tar.gz", {film: _film(film) for film in FILMS[5:]})
    return folder


def _error(source: Path, **options) -> str:
    with pytest.raises(InputError) as caught, small(source, **options):
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _count_decodings(monkeypatch) -> list[str]:
    decoded: list[str] = []
    decode = nih_films.decode_film

    def counted(file, resolution):
        decoded.append(file.id)
        return decode(file, resolution)

    monkeypatch.setattr(nih_films, "decode_film", counted)
    return decoded


def test_films_are_area_means_in_the_order_of_the_ids(download):
    with small(download) as found:
        dataset = found.dataset
        assert dataset.ids == FILMS
        for film, image in zip(FILMS, dataset.images, strict=True):
            expected = _pixels(film).reshape(16, 4, 16, 4).mean(axis=(1, 3))
            assert np.abs(image - expected).max() <= 0.5


def test_cases_have_patient_split_view_age_sex_followup_and_findings(download):
    with small(download) as found:
        cases = found.dataset.cases.set_index("id")
        info = found.dataset.info
    assert (info.name, info.findings, info.resolution) == ("nih_cxr14", FINDINGS, 16)
    assert list(cases.index[cases["split"] == "train"]) == TRAIN
    assert list(cases.index[cases["split"] == "test"]) == TEST
    first = cases.loc["00000001_000"]
    assert (first.patient, first.view, first.age, first.sex, first.followup) == ("00000001", "PA", 58, "F", 0)
    assert cases.loc["00000004_002"].followup == 2
    positives = {film: {name for name in FINDINGS if cases.loc[film, name]} for film in FILMS}
    assert positives == {film: set(LABELS[film].split("|")) if film in LABELS else set() for film in FILMS}
    assert all(cases[name].dtype == np.uint8 for name in FINDINGS)


def test_boxes_are_scaled_from_1024_pixels_and_infiltrate_has_its_usual_name(download):
    with small(download) as found:
        boxes = found.dataset.boxes
        assert found.dataset.annotations == {Annotation.LABELS, Annotation.BOXES}
    assert boxes.to_numpy().tolist() == [
        ["00000003_001", "Infiltration", 0.0, 0.0, 16.0, 0.25],
        ["00000005_000", "Mass", 2.0, 4.0, 8.0, 64.5 / 64],
    ]


def test_without_a_box_list_there_are_no_boxes(download):
    (download / "BBox_List_2017.csv").unlink()
    with small(download) as found:
        assert found.dataset.boxes is None


def test_labels_of_2017_and_of_2020_packed_or_not_give_the_same_cases(download):
    with small(download) as found:
        expected = found.dataset.cases
    (download / "Data_Entry_2017_v2020.csv").unlink()
    text = "\n".join([HEADER + ",", *(_row(film, of_2017=True) for film in FILMS)])
    (download / "Data_Entry_2017.csv.gz").write_bytes(gzip.compress(text.encode()))
    with small(download) as found:
        assert found.dataset.cases.equals(expected)
        assert "labels Data_Entry_2017;" in found.dataset.info.provenance


def test_archives_give_the_same_films_as_folders(download, packed):
    with small(download) as folders, small(packed) as archives:
        assert archives.dataset.digest == folders.dataset.digest
    below = packed / "images"  # as the owner's site has them
    below.mkdir()
    for path in packed.glob("*.tar.gz"):
        path.rename(below / path.name)
    with small(packed) as archives:
        assert archives.dataset.digest == folders.dataset.digest


def test_films_of_a_folder_are_not_read_from_an_archive_again(packed, monkeypatch):
    _films(packed / "images", FILMS[:5])
    decoded = _count_decodings(monkeypatch)
    with small(packed):
        assert sorted(decoded) == FILMS


def test_a_whole_set_does_not_say_partial_but_names_the_owner(download):
    with small(download) as found:
        about = found.dataset.info.provenance
        assert (found.converted, found.skipped) == (0, {})
    assert "partial" not in about
    assert "from files of 64 pixels, labels Data_Entry_2017_v2020; NIH Clinical Center" in about


def test_missing_films_are_refused_unless_allowed_and_then_named_partial(download):
    (download / "images_002" / "00000006_000.png").unlink()
    (download / "images_002" / "00000005_000.png").unlink()
    assert _error(download) == (
        "nih: expected 10 films, found 8; complete the download, or import the films that are there with "
        "--allow-partial"
    )
    with small(download, allow_partial=True) as found:
        dataset = found.dataset
        assert dataset.ids == FILMS[:8]
        assert dataset.info.provenance.startswith("NIH ChestX-ray14, partial: 8 of 10 films,")
        assert list(dataset.boxes["finding"]) == ["Infiltration"]  # the box of a missing film is left out
        for film, image in zip(FILMS, dataset.images, strict=False):
            assert np.abs(image - _pixels(film).reshape(16, 4, 16, 4).mean(axis=(1, 3))).max() <= 0.5


def test_a_missing_archive_is_named_before_anything_is_decoded(packed, monkeypatch):
    (packed / "images_002.tar.gz").unlink()
    decoded = _count_decodings(monkeypatch)
    assert "expected 2 archives, missing: images_002.tar.gz" in _error(packed)
    assert decoded == []
    with small(packed, allow_partial=True) as found:
        assert found.dataset.ids == FILMS[:5]


def test_a_film_that_no_archive_has_is_counted(packed):
    _archive(packed / "images_002.tar.gz", {film: _film(film) for film in FILMS[6:]})
    assert "expected 10 films, found 9" in _error(packed)


def test_a_download_without_films_is_refused_even_if_partial(download):
    for folder in ("images_001", "images_002"):
        (download / folder).rename(download / f"old_{folder}")
    assert "no films in" in _error(download, allow_partial=True)


@pytest.mark.parametrize("name", ["train_val_list.txt", "test_list.txt", "Data_Entry_2017_v2020.csv"])
def test_a_missing_table_is_named_with_where_to_get_it(download, name):
    (download / name).unlink()
    message = _error(download)
    assert name in message
    assert "nihcc.app.box.com" in message


ENTRY, BOX_LIST = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (ENTRY, "Emphysema", "Emphysem", f"line 2 of {ENTRY}: 00000001_000: label 'Emphysem' is none of the 14"),
        (ENTRY, "Mass|Hernia", "Mass|No Finding", "'No Finding' beside other findings: 'Mass|No Finding'"),
        (ENTRY, "00000001_001", "00000001_000", f"line 3 of {ENTRY}: duplicate row: 00000001_000 is on line 2"),
        (ENTRY, _row("00000002_000") + "\n", "", f"{ENTRY} has 9 films, expected 10"),
        (ENTRY, "00000002_000.png,No Finding,0,2", "00000009_000.png,No Finding,0,9", "not the official ones"),
        (ENTRY, "No Finding,0,2,", "No Finding,0,3,", "00000002_000 cannot be of patient '3': its name says 2"),
        (ENTRY, ",58,", ",5-8,", "line 2 of Data_Entry_2017_v2020.csv: 00000001_000: expected an age such as 58 or"),
        (ENTRY, ",F,PA,", ",F,LL,", "expected view PA or AP, found 'LL'"),
        (ENTRY, ",F,PA,", ",X,PA,", "expected sex M or F, found 'X'"),
        (ENTRY, "Finding Labels", "Labels", "has no column 'finding labels'"),
        (ENTRY, _row("00000002_000"), "00000002_000.png,Mass", f"line 4 of {ENTRY} has 2 fields, expected 11"),
        (ENTRY, "00000002_000.png", "two.jpg", f"line 4 of {ENTRY}: expected the name of a film such as 00000001_000"),
        ("test_list.txt", "00000005_000", "00000009_000", "line 3 of test_list.txt: unknown id 00000009_000"),
        ("test_list.txt", "00000005_000", "00000003_000", "line 3 of test_list.txt repeats 00000003_000 of line 1"),
        ("test_list.txt", "00000005_000.png\n", "", "test_list.txt has 3 films, expected 4: not the official list"),
        ("test_list.txt", "00000005_000", "00000004_000", "film 00000004_000 is in both train_val_list.txt and test"),
        ("train_val_list.txt", "00000002_000", "00000005_000", "film 00000005_000 is in both"),
        (BOX_LIST, "Infiltrate", "Edema", f"line 3 of {BOX_LIST}: 00000003_001: 'Edema' is none of the 8 findings"),
        (BOX_LIST, "00000003_001", "00000009_000", f"line 3 of {BOX_LIST}: unknown id 00000009_000"),
        (BOX_LIST, "1024,16", "1024,x", "x, y, w, h must be numbers, found 0, 0, 1024, x"),
        (BOX_LIST, "1024,16", "1124,16", "box 0, 0, 1124, 16 is not inside 1024 x 1024 pixels"),
        (BOX_LIST, "1024,16", "nan,16", "is not inside 1024 x 1024 pixels"),
        (BOX_LIST, "00000003_001.png,Infiltrate", "00000005_000.png,Mass", "duplicate row: a second box of Mass"),
        (BOX_LIST, "Image Index", "file", "does not begin with the header of the NIH download"),
    ],
)
def test_a_wrong_line_is_named(download, name, old, new, message):
    _change(download / name, old, new)
    assert message in _error(download)


def test_a_box_list_of_another_length_is_not_the_official_one(download):
    with (download / BOX_LIST).open("a") as handle:
        handle.write("00000006_000.png,Nodule,1,1,5,5\r\n")
    assert "has 3 boxes, expected 2: not the official list" in _error(download)


@pytest.mark.parametrize("end", ["\n", ""])  # the files end without a new line, so that `wc -l` counts one less
def test_the_widely_copied_random_split_is_recognised_whatever_its_rows_look_like(download, end):
    rows = "\n".join(f"{patient:08d}_000.png 0 1 0" for patient in range(22_433))
    (download / "test_list.txt").write_text(rows + end)
    message = _error(download)
    assert "test_list.txt has 22,433 films: this is the random split" in message
    assert "CheXNet (78,468 / 11,219 / 22,433), not the official one" in message


def test_patients_in_both_lists_are_named(download):
    for name, old, new in (
        ("train_val_list.txt", "00000004_002", "00000005_000"),
        ("test_list.txt", "00000005_000", "00000004_002"),
    ):
        _change(download / name, old, new)
    assert "patient 00000004 is in both train_val_list.txt and test_list.txt" in _error(download)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda data: b"", "empty (0 bytes)"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-12], "truncated"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "damaged (a checksum differs)"),
        (lambda data: b"<html>not found</html>", "not a PNG file"),
    ],
)
def test_a_damaged_film_is_named_and_left_out_only_if_asked(download, damage, fault):
    path = download / "images_001" / "images" / "00000002_000.png"
    path.write_bytes(damage(path.read_bytes()))
    assert _error(download) == (
        f"nih: film 00000002_000 (images_001/images/00000002_000.png) is {fault}; download it again, or leave it "
        "out with --skip-bad"
    )
    assert fault in _error(download)  # also where the draft knows it already
    with small(download, skip_bad=True) as found:
        assert "00000002_000" not in found.dataset.ids
        assert len(found.dataset) == 9
        assert {film: done.fault for film, done in found.skipped.items()} == {"00000002_000": fault}
        about = found.dataset.info.provenance
    assert "partial: 9 of 10 films (1 unreadable left out: 00000002_000)" in about


def test_a_damaged_film_of_an_archive_is_named_and_left_out_only_if_asked(packed):
    films = {film: _film(film) for film in FILMS[5:]}
    films["00000005_000"] = films["00000005_000"][:500]
    _archive(packed / "images_002.tar.gz", films)
    expected = "film 00000005_000 (images_002.tar.gz: images/00000005_000.png) is truncated"
    assert expected in _error(packed)
    with pytest.raises(RuntimeError), small(packed, skip_bad=True) as found:
        assert set(found.skipped) == {"00000005_000"}
        raise RuntimeError("nothing was kept")
    assert expected in _error(packed)  # though the draft has read that archive to its end


def test_colour_films_become_grey_and_are_counted(download):
    grey = _pixels("00000002_000")
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    path = download / "images_001" / "images" / "00000002_000.png"
    with small(download) as found:
        expected = np.array(found.dataset.images)
    path.write_bytes(_png(Image.fromarray(rgba)))
    with small(download) as found:
        assert found.converted == 1
        np.testing.assert_array_equal(found.dataset.images, expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_png(Image.fromarray(np.zeros((64, 64), np.uint16))), "has 16 bit a channel, expected 8"),
        (_png(Image.new("1", (64, 64))), "has 1 bit a channel, expected 8"),
        (_png(Image.new("L", (64, 32))), "is 64 x 32 pixels, expected a square"),
        (_png(Image.new("L", (8, 8))), "has 8 pixels a side, 16 were asked for; use --resolution 8 or less"),
    ],
)
def test_a_whole_file_of_another_kind_is_refused_even_with_skip_bad(download, data, message):
    (download / "images_002" / "00000004_000.png").write_bytes(data)
    assert f"images_002/00000004_000.png {message}" in _error(download, skip_bad=True)


def test_a_png_that_is_no_film_of_the_set_is_named(download):
    (download / "images_002" / "._00000004_000.png").write_bytes(b"hidden twin of some archivers")
    (download / "images_002" / "readme.txt").write_text("no png")
    _films(download / "images_002", ["00000009_000"])
    assert "images_002/00000009_000.png is no film of the table of labels; remove it" in _error(download)


def test_a_film_twice_there_must_be_the_same(download):
    _films(download / "images", FILMS[:1])
    with small(download) as found:
        assert len(found.dataset) == 10
    (download / "images" / f"{FILMS[0]}.png").write_bytes(_film(FILMS[0], 32))
    assert "00000001_000 is there twice and differs: images/00000001_000.png and images_001/" in _error(download)


@pytest.mark.parametrize("resolution", [8, 2048])
def test_a_resolution_beyond_the_official_films_is_refused(download, resolution):
    assert f"must be 16 to 1024 pixels, found {resolution}" in _error(download, resolution=resolution)


@pytest.mark.parametrize("share", [0.66, 0.999])
def test_an_archive_that_ends_early_is_named_and_those_before_it_are_not_read_again(packed, monkeypatch, share):
    second = packed / "images_002.tar.gz"
    whole = second.read_bytes()
    second.write_bytes(whole[: int(len(whole) * share)])
    assert "images_002.tar.gz cannot be read to its end" in _error(packed)
    second.write_bytes(whole)
    opened: list[str] = []
    read = nih_films.archive_films

    def noted(archive, known, wanted):
        opened.append(archive.name)
        return read(archive, known, wanted)

    monkeypatch.setattr(nih_films, "archive_films", noted)
    with small(packed) as found:
        assert found.dataset.ids == FILMS
    assert opened == ["images_002.tar.gz"]


_KILLED = """
import json, os, sys
from pathlib import Path
from cxrbench.benchmark.data import splits
from cxrbench.benchmark.data.importers import nih, nih_films
from cxrbench.benchmark.progress import Progress

def sink(fraction, note):
    if note == "films 8/10":
        os._exit(9)

nih_films.BLOCK = 3
official = splits.OfficialLists(**json.loads(sys.argv[2]))
with nih.import_nih(Path(sys.argv[1]), 16, official=official, progress=Progress(sink)):
    pass
"""


@pytest.mark.parametrize("kind", ["download", "packed"])
def test_an_import_that_was_killed_goes_on_with_the_next_block(kind, request, monkeypatch, home):
    source = request.getfixturevalue(kind)
    with small(source) as found:
        expected = found.dataset.digest
    done = subprocess.run([sys.executable, "-c", _KILLED, str(source), json.dumps(vars(OFFICIAL))], check=False)
    assert done.returncode == 9
    (draft,) = (home / "imports").iterdir()
    with (draft / "journal.jsonl").open("a") as journal:
        journal.write('{"films": {"00000006')  # as if it had been killed while it wrote this
    decoded = _count_decodings(monkeypatch)
    with small(source) as found:
        assert found.dataset.digest == expected
    # Films 1 to 6 were two blocks of three; an archive that was ended (5 films) is a block of its own too.
    assert sorted(decoded) == (FILMS[6:] if kind == "download" else FILMS[8:])
    assert not draft.exists()


def test_a_film_that_changed_since_the_interruption_is_decoded_again(download, monkeypatch):
    with pytest.raises(RuntimeError), small(download):
        raise RuntimeError("the disk of the catalogue is full")
    changed = download / "images_002" / f"{FILMS[-1]}.png"
    changed.write_bytes(_png(Image.new("L", (SIDE, SIDE), 77)))
    decoded = _count_decodings(monkeypatch)
    with small(download) as found:
        assert (found.dataset.images[-1] == 77).all()
    assert decoded == [FILMS[-1]]


def test_a_damaged_film_that_was_downloaded_again_is_taken(download):
    path = download / "images_002" / f"{FILMS[-1]}.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:99])
    assert "is truncated" in _error(download)
    path.write_bytes(whole)
    with small(download) as found:
        assert (found.dataset.ids, found.skipped) == (FILMS, {})


def test_progress_counts_the_films_and_ends_at_one(download):
    seen: list[tuple[float, str]] = []
    with small(download, progress=Progress(lambda fraction, note: seen.append((fraction, note)))):
        pass
    assert "films 10/10" in [note for _, note in seen]
    assert seen[-1][0] == 1.0
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)


def test_the_command_keeps_the_dataset_and_says_what_was_left_out(download, monkeypatch, home):
    monkeypatch.setattr(nih, "import_nih", partial(import_nih, official=OFFICIAL))
    (download / "images_002" / f"{FILMS[-1]}.png").write_bytes(b"")
    arguments = ["import", "nih", str(download), "--resolution", "32", "--skip-bad"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "partial: 9 of 10 films" in result.stdout
    assert "left out      images_002/00000006_000.png is empty (0 bytes)" in result.stdout
    dataset = find_dataset("nih_cxr14")
    assert (len(dataset), dataset.resolution) == (9, 32)
    assert list((home / "imports").iterdir()) == []
    again = CliRunner().invoke(app, [*arguments, "--force", "--json"], catch_exceptions=False)
    assert json.loads(again.stdout)["skipped"] == {FILMS[-1]: "images_002/00000006_000.png is empty (0 bytes)"}


def test_what_is_kept_is_what_was_imported(download):
    with small(download) as found:
        kept = keep(found.dataset)
        assert kept.digest == found.dataset.digest
    np.testing.assert_array_equal(kept.images[3], found.dataset.images[3])


@pytest.mark.real_data
def test_the_real_part_of_the_download_is_imported():
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
    source = Path(place) / "nih_cxr14"
    with import_nih(source, allow_partial=True) as found:
        dataset = found.dataset
        cases = dataset.cases
        assert len(dataset) == 1025
        assert cases["patient"].nunique() == 691
        assert cases["split"].value_counts().to_dict() == {"train": 864, "test": 161}
        assert (len(dataset.boxes), dataset.boxes["id"].nunique()) == (49, 44)
        assert dataset.boxes[["x", "y", "w", "h"]].to_numpy().max() < 256
        labels = dataset.labels()
        assert labels[:, FINDINGS.index("Pneumonia")].sum() == 500
        assert (labels.sum(axis=1) == 0).sum() == 510
        assert dataset.info.provenance.startswith(
            "NIH ChestX-ray14, partial: 1,025 of 112,120 films, from files of 256"
        )
        twins = [dataset.ids.index(film) for film in ("00002658_001", "00002658_002")]
        np.testing.assert_array_equal(*dataset.images[twins])
        with Image.open(source / "images" / f"{dataset.ids[100]}.png") as image:
            np.testing.assert_array_equal(dataset.images[100], np.asarray(image))
