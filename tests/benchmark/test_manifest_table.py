"""Tables of films as people and programs write them: every legal form gives the same films, the rest is one line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.data import app
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.finding_lists import flags_of_lists
from cxrbench.benchmark.data.findings import FINDINGS, NO_FINDING, known_finding
from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.data.reading.views import view_of
from cxrbench.benchmark.errors import InputError

SIDE = 32


@pytest.fixture
def films(tmp_path):
    """Five films a.png to e.png of different pixels, below images/."""
    rng = np.random.default_rng(0)
    for name in "abcde":
        _film(tmp_path / "images" / f"{name}.png", rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
    return tmp_path


def _film(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def _table(folder: Path, *lines: str, name: str = "films.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def _read(path: Path, /, **options) -> Dataset:
    return import_manifest(path, SIDE, options=ManifestOptions(**options))


def _error(path: Path, /, **options) -> str:
    with pytest.raises(InputError) as caught:
        _read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _said(dataset: Dataset) -> str:
    return "\n".join(dataset.info.remarks)


# ------------------------------------------------------------------------------------------------ separators, encodings


def test_a_table_with_semicolons_windows_paths_and_old_letters_is_read(films):
    plain = _read(_table(films, "path,patient", "images/a.png,Müller", "images/b.png,2"))
    other = films / "other.csv"
    other.write_bytes("path;patient\r\nimages\\a.png;Müller\r\nimages\\b.png;2\r\n".encode("cp1252"))
    read = _read(other)
    assert read.digest == plain.digest
    assert plain.info.remarks == ("no split yet: a run needs one; import again with --split patients:0.5 --force",)
    for words in ("semicolons", "Windows-1252", "2 paths with backslashes read as folders"):
        assert words in _said(read)


def test_a_path_of_a_windows_drive_is_one_line(films):
    message = _error(_table(films, "path", r"C:\films\a.png"))
    assert r"'C:\films\a.png' is a path of a Windows drive" in message and "--root" in message


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_whose_name_has_its_accents_spelled_otherwise_is_found(films, forms):
    there, written = (unicodedata.normalize(form, "Größe/Müller.png") for form in forms)
    _film(films / there, np.eye(SIDE, dtype=np.uint8) * 200)
    boxes = _table(
        films, "id,finding,x,y,w,h", unicodedata.normalize(forms[0], "Müller,Mass,1,1,4,4"), name="boxes.csv"
    )
    assert len(_read(_table(films, "path", written), boxes=boxes).boxes) == 1


def test_a_missing_file_says_what_is_there_instead(films):
    assert "images/a; there is a.png" in _error(_table(films, "path", "images/a"))
    inner = films / "images"
    assert f"--root {films}" in _error(_table(inner, "path", "images/a.png"))


def test_the_last_number_of_a_uid_is_no_ending(films):
    for name in ("1.2.840.7", "1.2.840.8"):
        (films / name).write_bytes((films / "images/a.png").read_bytes())
    assert _read(_table(films, "path", "1.2.840.7", "1.2.840.8")).ids == ["1.2.840.7", "1.2.840.8"]


# --------------------------------------------------------------------------------------------------------------- people


@pytest.mark.parametrize("name", ["Patient ID", "patientId", "subject_id", "PatientID", "patient_id", "Patient"])
@pytest.mark.parametrize("draw", [{"split": "patients:0.5"}, {"fold": "patients:2"}])
def test_parts_drawn_by_patient_need_a_patient_and_near_names_are_proposed(films, name, draw):
    path = _table(
        films, f"path,{name}", *(f"images/{film},{who}" for film, who in zip(_png("abcd"), "7788", strict=True))
    )
    message = _error(path, **draw)
    assert "needs a column 'patient'" in message and f"did you mean '{name}' (--columns 'patient={name}')?" in message
    cases = _read(path, columns={"patient": name}, **draw).cases
    assert (cases.groupby("patient")[next(iter(draw))].nunique() == 1).all()


def _png(names: str) -> list[str]:
    return [f"{name}.png" for name in names]


def test_parts_drawn_without_any_patient_are_refused_unless_each_film_is_a_person(films):
    path = _table(films, "path", "images/a.png", "images/b.png")
    assert "--split patients:0.5 needs a column 'patient'" in _error(path, split="patients:0.5")
    assert "--patient-from id" in _error(path, fold="patients:2")
    assert set(_read(path, split="patients:0.5", patient_from="id").cases["split"]) == {"train", "test"}


def test_what_a_trained_generator_has_seen_trains_with_all_films_of_those_patients(films):
    path = _table(
        films, "path,patient", *(f"images/{name}.png,{who}" for name, who in zip("abcde", "11223", strict=True))
    )
    seen = films / "trained_on.txt"
    seen.write_text("\ufeffimages/A.PNG\n\n'c'\nzebra\na\n", encoding="utf-8")
    read = _read(path, split=f"trained_on:{seen}")
    assert list(read.cases["split"]) == ["train"] * 4 + ["test"]
    assert "2 patients of whom trained_on.txt names a film train (4 films), the other 1 test (1 film)" in _said(read)
    assert "trained_on.txt: 1 of 4 lines are no film here, the first: zebra" in _said(read)
    done = CliRunner().invoke(app, ["import", "manifest", str(path), "--split", f"trained_on:{seen}", "--name", "seen"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"1\n2\n", "expected the ids of films, one a line, such as a; found '1'"),
        (b"\n", "found an empty file"),
        (b"a\nc\ne\n", "names a film of every patient (3), so that nobody is left to test"),
        (b"\xff\xfe\x00", "cannot be read (no text in UTF-8)"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_list_of_what_was_seen_that_parts_nothing_is_one_line(films, text, words):
    path = _table(
        films, "path,patient", *(f"images/{name}.png,{who}" for name, who in zip("abcde", "11223", strict=True))
    )
    seen = films / "trained_on.txt"
    if text is not None:
        seen.write_bytes(text)
    assert words in _error(path, split=f"trained_on:{seen}")


def test_given_parts_beside_a_near_name_are_refused_since_nobody_could_check_them(films):
    path = _table(films, "path,subject_id,split", "images/a.png,7,train", "images/b.png,7,test")
    assert "a column 'split' needs a column 'patient'" in _error(path)
    assert "1 patients are in more than one split" in _error(path, columns={"patient": "subject_id"})
    assert len(_read(path, patient_from="id")) == 2


def test_without_a_patient_every_film_is_a_person_and_that_is_said(films):
    assert "no column 'patient': every film counts as a person of its own" in _said(
        _read(_table(films, "path", "images/a.png"))
    )


def test_a_folder_of_films_and_masks_is_read_as_its_table_would_be(films):
    for organ, shift in (("left_lung", 1), ("right_lung", 0)):
        for name in "abcde":
            _film(films / "masks" / organ / f"{name}.png", np.eye(SIDE, k=shift, dtype=np.uint8) * 255)
    with pytest.raises(InputError, match=r"needs a column 'patient'.*--patient-from id"):
        _read(films, split="patients:0.5")
    read = _read(films, split="patients:0.5", patient_from="id")
    assert read.organs == ("left_lung", "right_lung") and read.info.name == films.name
    masks = tuple(f"{organ}=masks/{organ}/{{name}}" for organ in read.organs)
    lines = _table(films, "path", *(f"images/{name}.png" for name in "abcde"))
    assert f"{films} is a folder; name the table in it: {lines}" in _error(films)
    other = _read(lines, split="patients:0.5", patient_from="id", masks=masks)
    np.testing.assert_array_equal(read.masks, other.masks)
    assert read.cases.equals(other.cases) and (read.images == other.images).all()


def test_a_folder_that_lacks_masks_or_films_is_one_line(films):
    _film(films / "masks" / "lungs" / "b.png", np.eye(SIDE, dtype=np.uint8) * 255)
    said = _error(films)
    assert f"masks of 4 of 5 films are missing in {films}/masks/lungs, the first of a.png" in said
    (films / "none").mkdir()
    assert "expected them there (masks in masks/ORGAN/" in _error(films / "none")
    assert "or a table with a column path, one line a film" in _error(films / "none")


def test_a_folder_of_other_names_is_read_as_templates_say_and_their_fields_are_columns(tmp_path):
    for number, name in enumerate(("p1_a", "p1_b", "p2_a", "p3_a")):
        _film(tmp_path / "scans" / f"{name}.png", np.full((SIDE, SIDE), 40 * number, np.uint8))
        _film(tmp_path / "lungs" / f"{name}_L.png", np.eye(SIDE, dtype=np.uint8) * 255)
    called = {"path": "scans/{patient}_{take}.png", "masks": ("left_lung=lungs/{patient}_{take}_L.png",)}
    read = _read(tmp_path, **called, split="patients:0.5")
    assert read.organs == ("left_lung",) and list(read.cases["patient"]) == ["p1", "p1", "p2", "p3"]
    assert list(read.cases["id"]) == ["p1_a", "p1_b", "p2_a", "p3_a"]
    stems = {"path": "scans/{stem}.png", "masks": ("left_lung=lungs/{stem}_L.png",)}
    other = _read(tmp_path, **stems, patient_from=r"path:(p\d)", split="patients:0.5")
    assert other.cases.equals(read.cases) and (other.masks == read.masks).all()


def test_a_folder_whose_films_are_called_otherwise_says_how_they_are_named(tmp_path):
    _film(tmp_path / "lungs" / "a_L.png", np.eye(SIDE, dtype=np.uint8) * 255)
    _film(tmp_path / "scans" / "a.png", np.zeros((SIDE, SIDE), np.uint8))
    assert _error(tmp_path).endswith(
        "or say how they are called: --path 'scans/{stem}.png' --mask 'ORGAN=lungs/{stem}_L.png'"
    )
    assert "is called as --path 'films/{stem}.png' says" in _error(tmp_path, path="films/{stem}.png")
    (tmp_path / "scans").rename(tmp_path / "films")
    (said,) = [line for line in _read(tmp_path).info.remarks if line.startswith("no masks")]
    assert "lungs/ not read" in said and "--mask 'left_lung=lungs/{stem}_left.png'" in said


UNSPLIT = "no split yet: a run needs one; import again with"


@pytest.mark.parametrize(
    ("header", "line", "options", "said"),
    [
        ("path", "", {}, "--split patients:0.5 --patient-from id --force"),
        ("path,patient", ",1", {}, "--split patients:0.5 --force"),
        ("path", "", {"patient_from": "id"}, "--split patients:0.5 --force"),
        ("path,Patient ID", ",1", {}, "--columns 'patient=Patient ID' --split patients:0.5 --force"),
        ("path,subset,pid", ",train,1", {}, "--columns 'split=subset,patient=pid' --force"),
    ],
)
def test_an_import_without_a_split_ends_with_the_options_that_make_one(films, header, line, options, said):
    """With them, and what was given, the set has one at once."""
    table = _table(films, header, *(f"images/{name}.png{line.replace('1', name)}" for name in "abcde"))
    assert _read(table, **options).info.remarks[-1] == f"{UNSPLIT} {said}"
    more = {} if "--split" not in said else {"split": "patients:0.5"}
    more |= {"patient_from": "id"} if "--patient-from" in said else {}
    columns = dict(one.split("=") for one in said.split("'")[1].split(",")) if "'" in said else {}
    again = _read(table, **options, **more, columns=columns)
    assert "split" in again.cases and UNSPLIT not in _said(again)


def test_a_film_that_is_absent_is_said_before_a_split_is_drawn(films):
    assert "a file is missing" in _error(_table(films, "path,patient", "images/z.png,1"), split="patients:0.5")


def test_masks_that_are_absent_are_counted_with_the_lines_to_leave_out(films):
    _film(films / "masks" / "a.png", np.eye(SIDE, dtype=np.uint8) * 255)
    path = _table(films, "path", *(f"images/{name}.png" for name in "abc"))
    assert _error(path, masks=("lungs=masks/{stem}.png",)) == (
        f"manifest: masks of 2 of 3 films are missing, the first {films}/masks/b.png; put them there, or leave the lines of "
        "these films (lines 3 and 4) out of the table"
    )


@pytest.mark.parametrize("template", ["{stem}.png", "{name}", "{id}.png"])
def test_a_template_of_masks_has_the_names_of_the_films_files(films, template):
    for name in "ab":
        _film(films / "masks" / f"{name}.png", np.eye(SIDE, dtype=np.uint8) * 255)
    path = _table(films, "path,id", "images/a.png,a", "images/b.png,b")
    assert _read(path, masks=(f"lungs=masks/{template}",)).masks.any()


def test_a_column_called_stem_is_not_overruled_by_the_films_name(films):
    _film(films / "masks" / "x.png", np.eye(SIDE, dtype=np.uint8) * 255)
    assert _read(_table(films, "path,stem", "images/a.png,x"), masks=("lungs=masks/{stem}.png",)).masks.any()


def test_an_organ_of_an_unusual_name_is_said_with_the_usual_one(films):
    _film(films / "masks" / "a.png", np.eye(SIDE, dtype=np.uint8) * 255)
    path = _table(films, "path", "images/a.png")
    for organ, said in (("lnugs", "unusual organ 'lnugs' (did you mean lungs?)"), ("qq", "unusual organ 'qq'")):
        assert said in _read(path, masks=(f"{organ}=masks/a.png",)).info.remarks
    for organ in ("lungs", "Left-Lung", "cardiomediastinum"):
        assert "unusual" not in _said(_read(path, masks=(f"{organ}=masks/a.png",)))


def test_one_person_as_123_and_as_123_0_is_in_train_and_in_test(films):
    path = _table(
        films, "path,patient,split", "images/a.png,123,train", "images/b.png,123.0,test", "images/c.png,9,train"
    )
    message = _error(path)
    assert "1 patients are in more than one split, the first: 123" in message
    assert "123 and 123.0: taken for one person each" in message


def test_films_without_a_patient_are_refused_with_their_lines(films):
    path = _table(films, "path,patient,split", "images/a.png,,train", "images/b.png,nan,train", "images/c.png,x,test")
    assert "no patient in lines 2 and 3" in _error(path)


def test_a_patient_is_taken_from_the_name_of_a_file(films):
    for name in ("p01_a", "p01_b", "p02_a"):
        _film(films / f"{name}.png", np.full((SIDE, SIDE), ord(name[2]) + ord(name[4]), dtype=np.uint8))
    path = _table(films, "path", "p01_a.png", "p01_b.png", "p02_a.png")
    cases = _read(path, patient_from=r"path:(p\d+)_", split="patients:0.5").cases
    assert list(cases["patient"]) == ["p01", "p01", "p02"]
    assert cases["split"][0] == cases["split"][1] != cases["split"][2]
    assert "--patient-from 'path:(q.)' finds nothing in 3 films, the first in line 2: 'p01_a.png'" in _error(
        path, patient_from="path:(q.)"
    )
    assert "is no regular expression" in _error(path, patient_from="path:(")
    assert "unknown" not in _error(path, patient_from="who") and "no column 'who'" in _error(path, patient_from="who")


def test_the_same_pixels_in_train_and_test_are_said(films):
    (films / "images/b.png").write_bytes((films / "images/a.png").read_bytes())
    path = _table(
        films,
        "path,patient,split",
        *(f"images/{n}.png,{i},{'test' if i % 2 else 'train'}" for i, n in enumerate("abcd")),
    )
    assert "1 test film is a pixel copy of a training film (b is a): a leak" in _said(_read(path))


# -------------------------------------------------------------------------------------------------------- a csv of views


@pytest.fixture
def chexpert(tmp_path):
    """Two patients with a frontal film each, one with a lateral too; labels 1, 0, -1 and blank."""
    lines = ["Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema"]
    for number, (name, view, labels) in enumerate(
        [
            ("patient00001/study1/view1_frontal", "Frontal", "1.0,,-1.0"),
            ("patient00001/study1/view2_lateral", "Lateral", "1.0,,-1.0"),
            ("patient00002/study1/view1_frontal", "Frontal", ",1.0,0.0"),
        ]
    ):
        _film(tmp_path / f"train/{name}.jpg", np.full((SIDE, SIDE), 40 * number, dtype=np.uint8))
        lines.append(f"train/{name}.jpg,Female,68,{view},AP,{labels}")
    return _table(tmp_path, *lines, name="train.csv")


CHEXPERT = {
    "columns": {"path": "Path", "finding_Cardiomegaly": "Cardiomegaly", "finding_Edema": "Edema"},
    "id_from": "path",
    "patient_from": r"path:(patient\d+)",
}


@pytest.mark.parametrize(
    "only", ["Frontal/Lateral=Frontal", "Frontal/Lateral=frontal", "path:frontal", r"path:view\d_f"]
)
@pytest.mark.parametrize(("policy", "edema"), [("zeros", [0, 0]), ("ones", [1, 0]), ("ignore", [0])])
def test_equal_stems_views_and_uncertain_labels_have_a_documented_way(chexpert, only, policy, edema):
    dataset = _read(chexpert, **CHEXPERT, only=(only,), uncertain=policy)
    ids = ["train_patient00001_study1_view1_frontal", "train_patient00002_study1_view1_frontal"]
    assert dataset.ids == ids[-len(edema) :]
    assert list(dataset.cases["patient"]) == ["patient00001", "patient00002"][-len(edema) :]
    assert list(dataset.cases["Edema"]) == edema
    assert list(dataset.cases["Cardiomegaly"]) == [0, 1][-len(edema) :]
    assert f"1 film left out by --only '{only}'" in _said(dataset)
    expected = (
        "1 film with an uncertain finding (-1) left out" if policy == "ignore" else "finding Edema: 1 uncertain (-1)"
    )
    assert expected in _said(dataset)


def test_what_a_set_of_views_needs_is_asked_for(chexpert):
    plain = {"columns": CHEXPERT["columns"]}
    assert "column 'Cardiomegaly' must be 0 or 1, found '' (blank; --uncertain zeros, ones or ignore" in _error(
        chexpert, **plain
    )
    message = _error(chexpert, **plain, uncertain="zeros")
    assert "duplicate id 'view1_frontal' in lines 2 and 4" in message and "--id-from path" in message
    dataset = _read(chexpert, **plain, uncertain="zeros", id_from="path")
    assert "1 film taken from the side by column 'Frontal/Lateral' (--only 'Frontal/Lateral=Frontal'" in _said(dataset)
    assert r"--patient-from 'path:(patient\d+)'" in _said(dataset)
    assert "columns not used: Sex, Age, Frontal/Lateral, AP/PA, No Finding" in _said(dataset)
    assert "unknown --uncertain 'maybe'" in _error(chexpert, **plain, uncertain="maybe")
    assert "unknown value 'Front'. Did you mean Frontal?" in _error(
        chexpert, **CHEXPERT, only=("Frontal/Lateral=Front",)
    )
    assert "no film fits --only 'path:above'" in _error(chexpert, **CHEXPERT, only=("path:above",))
    assert "must look like COLUMN=VALUE or COLUMN:REGEX" in _error(chexpert, **CHEXPERT, only=("frontal",))


def test_the_command_takes_it_all(chexpert):
    arguments = ["import", "manifest", chexpert, "--name", "c", "--json", "--resolution", SIDE, "--id-from=path"]
    arguments += ["--columns=path=Path,finding_Edema=Edema", r"--patient-from=path:(patient\d+)", "--uncertain=ones"]
    arguments += ["--only=Frontal/Lateral=Frontal", "--split-values="]
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert (found["films"], found["patients"], found["findings"]) == (2, 2, {"Edema": 1})


# ------------------------------------------------------------------------------------------------------------- findings


def _rows(rows) -> str:
    return f"rows {list(rows)}"


@pytest.mark.parametrize(
    "values",
    [
        ["['Mass', 'Edema']", "['Edema']", "[]"],
        ['["Mass", "Edema"]', '["Edema"]', "[]"],
        ["['Mass' 'Edema']", "['Edema']", "[nan]"],
        ["[Mass, Edema]", "[Edema]", "['No Finding']"],
        ["{'Mass', 'Edema'}", "{'Edema'}", "()"],
        ["Mass|Edema", "Edema", ""],
        ["{'Mass': 1, 'Edema': 1}", "{'Mass': 0, 'Edema': 1}", "{'Mass': 0, 'Edema': 0}"],
        ['{"Mass": true, "Edema": true}', '{"Mass": false, "Edema": true}', ""],
        ["Mass, Edema", "Edema", "No Finding"],
        ["Mass;edema", "EDEMA", "nan"],
        ["mass | Pulmonary Edema", "Oedema", "normal"],
    ],
)
def test_lists_of_findings_in_any_form_are_the_same_findings(values):
    flags, remarks = flags_of_lists(values, _rows)
    assert flags == {"Edema": [1, 1, 0], "Mass": [1, 0, 0]}
    assert remarks or values == ["Mass|Edema", "Edema", ""]


@given(st.lists(st.lists(st.sampled_from([*FINDINGS, "Own Finding", "Side's"]), unique=True), min_size=1, max_size=6))
def test_every_form_of_a_list_reads_as_what_was_written(lists):
    forms = [str, json.dumps, "|".join, ";".join, ", ".join]
    found = [flags_of_lists([form(names) for names in lists], _rows)[0] for form in forms]
    names = sorted({name for one in lists for name in one})
    assert all(flags == {name: [int(name in one) for one in lists] for name in names} for flags in found)


@pytest.mark.parametrize(
    ("word", "finding"),
    [
        ("Infiltrate", "Infiltration"),
        ("Pleural Effusion", "Effusion"),
        ("pleural_thickening", "Pleural_Thickening"),
        ("Pleural Thickening", "Pleural_Thickening"),
        ("PLEURAL-THICKENING", "Pleural_Thickening"),
        ("pulmonary oedema", "Edema"),
        ("no finding", NO_FINDING),
        ("NoFinding", NO_FINDING),
        ("Nodule/Mass", None),
        ("Enlarged Cardiomediastinum", None),
    ],
)
def test_findings_have_synonyms(word, finding):
    assert known_finding(word) == finding


def test_words_of_other_sets_become_the_official_ones_and_that_is_said(films):
    path = _table(films, "path,findings", "images/a.png,Infiltrate|COVID", "images/b.png,covid", "images/c.png,covid")
    dataset = _read(path)
    assert dataset.info.findings == ("Infiltration", "covid")
    assert list(dataset.cases["covid"]) == [1, 1, 1]
    assert "finding 'Infiltrate' read as Infiltration" in _said(dataset)
    assert "finding 'COVID' read as covid" in _said(dataset)
    assert "none of the 14 of NIH ChestX-ray14: 'covid'" in _said(dataset)
    dataset = _read(_table(films, "path,finding_Pleural Effusion,finding_Cardiomegally", "images/a.png,1,0"))
    assert dataset.info.findings == ("Effusion", "Cardiomegally")
    assert "'Cardiomegally' (is it Cardiomegaly?)" in _said(dataset)


def test_no_finding_beside_others_is_refused(films):
    path = _table(films, "path,findings", "images/a.png,Mass", "images/b.png,No Finding|Mass")
    assert "line 3: 'No Finding' beside Mass; a film has findings or none" in _error(path)
    path = _table(films, "path,finding_No Finding,finding_Mass", "images/a.png,1,1")
    assert "line 2: 'No Finding' beside Mass" in _error(path)
    dataset = _read(_table(films, "path,finding_normal,finding_Mass", "images/a.png,1,0", "images/b.png,0,1"))
    assert dataset.info.findings == ("Mass",)
    path = _table(films, "path,finding_Effusion,finding_Pleural Effusion", "images/a.png,1,1")
    assert "the columns of 'Effusion' and 'Pleural Effusion' are both of Effusion" in _error(path)


def test_true_and_false_are_flags(films):
    dataset = _read(_table(films, "path,finding_Mass", "images/a.png,True", "images/b.png,FALSE", "images/c.png,1.0"))
    assert list(dataset.cases["Mass"]) == [1, 0, 1]


# --------------------------------------------------------------------------------------------------------------- splits


def test_words_of_a_split_are_understood_and_films_of_no_part_are_counted(films):
    words = ("train", "training", "val", "", "TEST")
    path = _table(
        films, "path,split", *(f"images/{name}.png,{word}" for name, word in zip("abcde", words, strict=True))
    )
    dataset = _read(path)
    assert list(dataset.cases["split"]) == ["train", "train", "val", "none", "test"]
    assert "split 'training' (1 film) read as train" in _said(dataset)
    assert "split '' (1 film) read as none" in _said(dataset)
    assert "2 films of split val and none used by no task" in _said(dataset)


@pytest.mark.parametrize(
    ("word", "part"),
    [("valid", "val"), ("validation", "val"), ("dev", "val"), ("tr", "train"), ("testing", "test"), ("nan", "none")],
)
def test_the_words_of_a_split(films, word, part):
    assert list(_read(_table(films, "path,split", f"images/a.png,{word}")).cases["split"]) == [part]


def test_words_that_no_task_knows_are_said_and_may_be_given_a_meaning(films):
    path = _table(films, "path,split", "images/a.png,train", "images/b.png,holdout", "images/c.png,")
    dataset = _read(path)
    assert list(dataset.cases["split"]) == ["train", "holdout", "none"]
    assert (
        "split 'holdout' (1 film) is none of train, val, test, none: a task that divides by split refuses it"
        in _said(dataset)
    )
    dataset = _read(path, split_values={"holdout": "test", "blank": "train"})
    assert list(dataset.cases["split"]) == ["train", "test", "train"]
    assert "unknown split 'away'" in _error(path, split_values={"holdout": "away"})
    assert "unknown split 'hold'" in _error(path, split_values={"hold": "test"})
    assert "there is none" in _error(_table(films, "path", "images/a.png"), split_values={"x": "test"})


def test_folds_may_be_written_as_floats(films):
    cases = _read(_table(films, "path,fold", "images/a.png,0.0", "images/b.png,2.0")).cases
    assert list(cases["fold"]) == [0, 2]


# -------------------------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize("name", ["mask_path", "mask_file", "Mask Path", "mask_filename"])
def test_a_column_of_mask_files_is_no_organ(films, name):
    path = _table(films, f"path,{name}", "images/a.png,images/b.png")
    message = _error(path)
    assert f"column '{name}' is taken for the mask" in message and "--organs left_lung=1,right_lung=2" in message
    _film(films / "mask.png", np.repeat(np.array([[0, 1, 2, 0]], dtype=np.uint8), SIDE, 0).repeat(SIDE // 4, 1))
    dataset = _read(_table(films, f"path,{name}", "images/a.png,mask.png"), organs={"left_lung": 1, "right_lung": 2})
    assert dataset.organs == ("left_lung", "right_lung")
    assert f"column '{name}' taken for the mask of all organs" in _said(dataset)


def test_columns_that_no_one_uses_are_named_and_those_that_may_be_meant_proposed(films):
    path = _table(films, "path,patient,Split,age,Labels,Edema", "images/a.png,1,train,7,Mass,1")
    said = _said(_read(path))
    assert "column 'Split' is not used; is it split (--columns split=Split)?" in said
    assert "column 'Labels' is not used; is it findings (--columns findings=Labels)?" in said
    assert "columns of findings not used: Edema (--columns finding_Edema=Edema)" in said
    assert "columns not used: age" in said
    assert "age" not in _said(_read(path, keep=["age"]))


@pytest.mark.parametrize("name", ["Path", "filename", "image_path", "Image Index", "filepath"])
def test_a_column_of_films_under_another_name_is_proposed(films, name):
    path = _table(films, f"{name},patient", "images/a.png,1")
    assert f"Did you mean {name} (--columns path={name})?" in _error(path)
    assert "Its first line must name the columns" in _error(_table(films, "images/a.png,1", "images/b.png,2"))


# ---------------------------------------------------------------------------------------------------------------- boxes


BOX = {"id": "a", "finding": "Mass", "x": 4.0, "y": 6.0, "w": 8.0, "h": 10.0}


@pytest.mark.parametrize(
    ("header", "line", "mapping"),
    [
        ("id,finding,x,y,w,h", "a,Mass,4,6,8,10", {}),
        ("image_id,class_name,x_min,y_min,x_max,y_max", "a,Mass,4,6,12,16", {}),
        ("filename,label,xmin,ymin,xmax,ymax,width,height", "a.png,mass,4,6,12,16,32,32", {}),
        ("image_path,class,x1,y1,x2,y2", r"images\a.png,Mass,4,6,12,16", {}),
        ("id,finding,x0,y0,x1,y1", "a,Mass,4,6,12,16", {}),
        ("patientId,class,x,y,width,height", "a,Mass,4.0,6.0,8.0,10.0", {}),
        ("id,finding,x_center,y_center,w,h", "a,Mass,8,11,8,10", {}),
        ("film;what;left;top;right;bottom", "a;Lung mass;4,0;6,0;12,0;16,0", {"id": "film", "finding": "what"}),
        (
            "u,v,p,q,r,s",
            "a,Mass,4,6,12,16",
            {"id": "u", "finding": "v", "x_min": "p", "y_min": "q", "x_max": "r", "y_max": "s"},
        ),
    ],
)
def test_boxes_in_any_form_are_the_same_box(films, header, line, mapping):
    path = _table(films, "path", "images/a.png", "images/b.png")
    boxes = _table(films, header, line, name="boxes.csv")
    dataset = _read(path, boxes=boxes, box_columns=mapping)
    assert dataset.boxes.to_dict("records") == [BOX]
    assert list(dataset.cases["Mass"]) == [1, 0]


def test_boxes_of_several_readers_are_kept_and_no_finding_is_a_film_without_a_box(films):
    path = _table(films, "id,path", "a,images/a.png", "b,images/b.png")
    boxes = _table(
        films,
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        "a,Mass,8,R1,10,10,30,30",
        "a,Mass,8,R2,11,9,31,31",
        "b,No finding,14,R1,,,,",
        name="boxes.csv",
    )
    dataset = _read(path, boxes=boxes)
    assert list(dataset.boxes["id"]) == ["a", "a"]
    assert dataset.info.findings == ("Mass",) and list(dataset.cases["Mass"]) == [1, 0]
    for words in (
        "image_id for id",
        "1 film read by several (column rad_id)",
        "1 film with lines of 'No Finding': no box",
    ):
        assert words in _said(dataset)


def test_boxes_of_films_that_were_left_out_go_with_them(films):
    path = _table(films, "path,view", "images/a.png,PA", "images/b.png,LL")
    boxes = _table(films, "id,finding,x,y,w,h", "a,Mass,4,6,8,10", "b,Mass,1,1,2,2", name="boxes.csv")
    assert list(_read(path, boxes=boxes, only=("view=PA",)).boxes["id"]) == ["a"]


@pytest.mark.parametrize(
    ("header", "line", "mapping", "message"),
    [
        ("id,finding,x,y,w", "a,Mass,1,1,2", {}, "needs the columns id,finding,x,y,w,h, or x_min,y_min,x_max,y_max"),
        ("id,finding,x,y,w,h", "a,Mass,0.1,0.2,0.3,0.4", {}, "all boxes lie between 0 and 1: shares of a film"),
        ("id,finding,x_min,y_min,x_max,y_max", "a,Mass,9,9,4,12", {}, "line 2 of"),
        ("id,finding,x,y,w,h", "a,Mass,1,1,2,2", {"z": "x"}, "unknown column of boxes 'z'"),
        ("id,finding,x,y,w,h", "a,Mass,1,1,2,2", {"x": "left"}, "unknown column 'left'"),
        ("id,finding,x,y,w,h", "a,Mass,,,,", {}, "x, y, w, h must be numbers"),
    ],
)
def test_boxes_that_are_none_are_one_line(films, header, line, mapping, message):
    boxes = _table(films, header, line, name="boxes.csv")
    assert message in _error(_table(films, "path", "images/a.png"), boxes=boxes, box_columns=mapping)


# ------------------------------------------------------------------------------------------------------------------- views


def test_boxes_of_a_finding_that_a_film_is_said_not_to_have_are_said(films):
    path = _table(films, "path,finding_Mass", "images/a.png,0", "images/b.png,1")
    boxes = _table(films, "id,finding,x,y,w,h", "a,Mass,4,6,8,10", "b,Mass,4,6,8,10", name="boxes.csv")
    assert "1 film with a box of Mass and without it by the labels: a" in _said(_read(path, boxes=boxes))


def test_boxes_are_in_pixels_of_the_upright_film(films):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((SIDE, 2 * SIDE), np.uint8)).save(films / "images/a.png", exif=exif)
    boxes = _table(films, "id,finding,x,y,w,h", f"a,Mass,0,{SIDE},4,{SIDE}", name="boxes.csv")
    found = _read(_table(films, "path", "images/a.png"), boxes=boxes)
    assert "1 film with boxes turned upright as EXIF says: boxes taken in pixels of the upright film (a)" in _said(
        found
    )


@pytest.fixture
def views(tmp_path):
    """Four DICOM films (PA, LL, one that does not say, AP), a table with boxes beside them."""
    from .dicom_files import dataset, values_of

    for number, (name, view) in enumerate((("a", "PA"), ("b", "LL"), ("c", None), ("d", "AP"))):
        dataset(np.roll(values_of(), number), **({"ViewPosition": view} if view else {})).save_as(
            tmp_path / f"{name}.dcm"
        )
    _table(tmp_path, "id,finding,x,y,w,h", "a,Mass,1,1,4,4", "b,Nodule,1,1,4,4", name="boxes.csv")
    return _table(tmp_path, "path,view_of_table", "a.dcm,PA", "b.dcm,PA", "c.dcm,PA", "d.dcm,PA")


def test_a_film_that_is_lateral_by_its_header_is_refused_with_the_ways(views):
    assert "b.dcm is not frontal by its DICOM header; --only view=frontal leaves" in _error(views)


def test_films_that_are_lateral_by_their_headers_are_left_out_and_said(views):
    found = _read(views, only=("view=frontal",), boxes=views.with_name("boxes.csv"))
    assert found.ids == ["a", "c", "d"] and len(found.images) == 3
    assert "1 film not frontal by the DICOM header left out" in _said(found) and "b.dcm" in _said(found)
    assert found.info.findings == ("Mass",) and list(found.boxes["id"]) == ["a"]
    kept = _read(views, only=("view=any",))
    assert kept.ids == ["a", "b", "c", "d"] and "LATERAL" in _said(kept)
    assert (kept.images[[0, 2, 3]] == found.images).all()


def test_nothing_is_left_of_lateral_films(views):
    assert "no film is frontal by its DICOM header; --only view=any" in _error(
        views, only=("path=b.dcm", "view=frontal")
    )


def test_frontal_films_by_a_column_of_views(films):
    lines = ("images/a.png,PA", "images/b.png,L", "images/c.png,")
    found = _read(_table(films, "path,View Position", *lines), only=("view=frontal",))
    assert found.ids == ["a"] and "2 films left out by --only 'view=frontal'" in _said(found)


def test_frontal_views_in_several_words_are_kept_and_those_left_out_are_named(films):
    views = ("PA Erect", "Posteroanterior (PA)", "AP Supine", "LPO", "COSTAL", "AP LLD")
    for number in range(len(views)):
        _film(films / f"images/v{number}.png", np.full((8, 8), 20 * number, np.uint8))
    table = _table(films, "path,view", *(f"images/v{number}.png,{view}" for number, view in enumerate(views)))
    found = _read(table, only=("view=frontal",))
    assert found.ids == ["v0", "v1", "v2"]
    assert "3 films left out by --only 'view=frontal': LPO 1, COSTAL 1, AP LLD 1" in _said(found)
    assert "3 films of other views by column 'view', LPO 1, COSTAL 1, AP LLD 1 (--only 'view=" in _said(_read(table))


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("postero-anterior oblique", "OBLIQUE"),
        ("PA OBL", "OBLIQUE"),
        ("antero-posterior left lateral decubitus", "DECUBITUS"),
        ("PA/LAT", "LATERAL"),
        ("BILATERAL FRONTAL", "FRONTAL"),
        ("AP_horizontal", "AP"),
        ("APSupine", "AP"),
        ("Left Lateral", "LATERAL"),
        ("L", "LATERAL"),
        ("LLAT", "LATERAL"),
        ("P.A.", "PA"),
        ("A-P", "AP"),
        ("COSTAL", None),
        ("", None),
    ],
)
def test_views_in_words(text, view):
    assert view_of(text) == view


@pytest.mark.parametrize(
    "value",
    [
        "Mass\nEdema",
        "Mass\r\nEdema",
        "Mass;\nEdema\n",
        "array(['Mass', 'Edema'], dtype=object)",
        "array(['Mass', 'Edema'],\n      dtype='<U5')",
        "['Mass'\n 'Edema']",
        "np.array(['Mass', 'Edema'])",
        "[Mass,\n Edema]",
    ],
)
def test_lines_and_numpys_arrays_of_findings_are_lists(value):
    flags, said = flags_of_lists([value, "Mass"], _rows)
    assert flags == {"Edema": [1, 0], "Mass": [1, 1]}
    assert not any("\n" in line for line in said)


def test_an_empty_array_of_findings_is_a_film_without_any():
    assert flags_of_lists(["array([], dtype=object)", "Mass"], _rows)[0] == {"Mass": [0, 1]}


def test_a_dictionary_of_findings_has_0_or_1_for_each():
    with pytest.raises(InputError, match="findings as a dictionary must have 0 or 1 for each, found Mass: -1"):
        flags_of_lists(["{'Mass': -1, 'Edema': 1}"], _rows)


@pytest.mark.parametrize("text", ["1", "0.0", "1|0|1", "[0, 1]"])
def test_numbers_are_no_names_of_findings(text):
    with pytest.raises(InputError, match=r"rows \[0\]: expected names of findings, found the number"):
        flags_of_lists([text, "Mass"], lambda rows: f"rows {list(rows)}")
