"""The public sets by name, each written small in its official layout."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.data.importers.public import chexpert as chexpert_set
from cxrbench.benchmark.data.importers.public import padchest as padchest_set
from cxrbench.benchmark.data.importers.public.core import import_public
from cxrbench.benchmark.data.importers.public.listing import PublicOptions
from cxrbench.benchmark.data.importers.public.sets import SETS, public_set
from cxrbench.benchmark.data.importers.public.siim import rle_mask
from cxrbench.benchmark.data.reading.films import Square, read_film
from cxrbench.benchmark.errors import InputError

from . import public_layouts as layouts


def imported(name, source, resolution=32, **options):
    """The dataset as it is kept, of what is there."""
    options.setdefault("allow_partial", True)
    with import_public(public_set(name), source, resolution, options=PublicOptions(**options)) as found:
        return found.save(source.parent / f"kept-{name}-{len(list(source.parent.iterdir()))}")


def said(dataset) -> str:
    return "\n".join(dataset.info.remarks)


def column(dataset, name) -> dict[str, object]:
    return dict(zip(dataset.ids, dataset.cases[name].tolist(), strict=True))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))


# ---------------------------------------------------------------------------------------------------------------- CheXpert


def test_chexpert_small(tmp_path):
    found = imported("chexpert", layouts.chexpert(tmp_path / "set"), uncertain="ones")
    first, second, valid = (f"{one}_study1_view1_frontal" for one in ("patient00001", "patient00002", "patient64541"))
    assert column(found, "patient") == {first: "patient00001", second: "patient00002", valid: "patient64541"}
    assert column(found, "split") == {first: "train", second: "train", valid: "val"}
    assert column(found, "Edema") == {first: 1, second: 0, valid: 1}
    assert column(found, "Effusion") == {first: 0, second: 0, valid: 0}
    assert "No Finding" not in found.info.findings and "Lung Opacity" in found.info.findings
    assert "finding Edema: 1 uncertain (-1) taken for 1" in said(found)
    assert "1 film of views that are not frontal left out (--views all keeps them): Lateral 1" in said(found)
    assert "1 film without any label left out" in said(found)
    assert "not mentioned (blank), taken for 0" in said(found)
    assert "--split-values val=test" in said(found)
    read = read_film(tmp_path / "set/CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg").pixels
    assert (found.images[found.ids.index(first)] == Square(32, 39, 32).film(read)).all()


@pytest.mark.parametrize(("policy", "films", "edema"), [("zeros", 3, 0), ("ones", 3, 1), ("ignore", 2, None)])
def test_uncertain_labels_by_the_policy(tmp_path, policy, films, edema):
    found = imported("chexpert", layouts.chexpert(tmp_path / "set"), uncertain=policy)
    assert len(found) == films
    assert column(found, "Edema").get("patient00001_study1_view1_frontal") == edema


def test_a_policy_is_asked_for_where_there_is_an_uncertain_label(tmp_path):
    source = layouts.chexpert(tmp_path / "set")
    with pytest.raises(
        InputError, match=r"has -1 \(uncertain\) for Edema: say what that is by --uncertain zeros, ones"
    ):
        imported("chexpert", source)
    assert len(imported("chexpert", source, findings=["Cardiomegaly"])) == 3


def test_chexpert_in_its_batches(tmp_path):
    """The full-size download: tables in the first batch, patients right below the others."""
    small, full = layouts.chexpert(tmp_path / "set"), tmp_path / "full"
    first = full / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir(parents=True)
    for name in ("train.csv", "valid.csv"):
        (first / name).write_text((small / name).read_text().replace("CheXpert-v1.0-small", "CheXpert-v1.0"))
    shutil.copytree(small / "valid", first / "valid")
    shutil.copytree(small / "train", full / "CheXpert-v1.0 batch 2 (train 1)")
    one, other = (imported("chexpert", source, uncertain="zeros") for source in (small, full))
    assert one.digest == other.digest and len(other) == 3


def test_laterals_are_kept_and_said_where_all_views_are_asked_for(tmp_path):
    found = imported("chexpert", layouts.chexpert(tmp_path / "set"), uncertain="zeros", views="all")
    assert len(found) == 4 and "1 film of views that are not frontal kept: Lateral 1" in said(found)
    assert column(found, "view")["patient00001_study1_view2_lateral"] == "Lateral"


@pytest.mark.parametrize("word", ["valid", "val"])
def test_validation_films_can_test(tmp_path, word):
    source = layouts.chexpert(tmp_path / "set")
    found = imported("chexpert", source, uncertain="zeros", split_values={word: "test"})
    assert sorted(found.cases["split"]) == ["test", "train", "train"]
    assert "--split-values" not in said(found)


# --------------------------------------------------------------------------------------------------------- counts and files


def test_counts_are_the_official_ones_or_partial_is_asked_for(tmp_path, monkeypatch):
    source = layouts.chexpert(tmp_path / "set")
    with pytest.raises(
        InputError, match=r"expected 223,414 films of the train table, found 4; complete the download from"
    ):
        imported("chexpert", source, uncertain="zeros", allow_partial=False)
    partial = imported("chexpert", source, uncertain="zeros")
    assert "partial: 4 of 223,414 films of the train table" in partial.info.provenance
    monkeypatch.setattr(chexpert_set, "TRAIN", 4)
    monkeypatch.setattr(chexpert_set, "VALID", 1)
    whole = imported("chexpert", source, uncertain="zeros", allow_partial=False)
    assert "partial" not in whole.info.provenance and whole.digest == partial.digest
    (source / "train/patient00002/study1/view1_frontal.jpg").unlink()
    with pytest.raises(InputError, match=r"a file is missing, the first .*patient00002.*--allow-partial"):
        imported("chexpert", source, uncertain="zeros", allow_partial=False)
    rest = imported("chexpert", source, uncertain="zeros")
    assert len(rest) == 2 and "partial: 1 films are not there" in rest.info.provenance


MAKERS = {
    "chexpert": lambda root: layouts.chexpert(root),
    "mimic": lambda root: layouts.mimic(root),
    "padchest": lambda root: layouts.padchest(root),
    "vindr": lambda root: layouts.vindr(root),
    "rsna": lambda root: layouts.rsna(root),
    "siim": lambda root: layouts.siim(root, [("a", "-1"), ("b", "0 2")]),
    "montgomery": lambda root: layouts.montgomery(root),
    "shenzhen": lambda root: layouts.shenzhen(root),
    "kermany": lambda root: layouts.kermany(root),
    "chestx-det10": lambda root: layouts.chestx_det10(root),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_set_refuses_what_is_not_whole(tmp_path, name):
    options = {"uncertain": "zeros"} if name in ("chexpert", "mimic") else {}
    source = MAKERS[name](tmp_path / "set")
    with pytest.raises(
        InputError, match=rf"^{name}: expected [\d,]+.* found [\d,]+; complete the download .*--allow-partial"
    ):
        imported(name, source, allow_partial=False, **options)
    assert "partial: " in imported(name, source, **options).info.provenance
    for table in [*source.rglob("*.csv"), *source.rglob("*.csv.gz"), *source.rglob("*.json")]:
        table.unlink()
    shutil.rmtree(source / "MontgomerySet/CXR_png", ignore_errors=True)
    shutil.rmtree(source / "CXR_png", ignore_errors=True)
    shutil.rmtree(source / "chest_xray", ignore_errors=True)
    with pytest.raises(InputError, match=rf"^{name}: no (folder )?[^\n]+$"):
        imported(name, source, allow_partial=False, **options)


@pytest.mark.parametrize("name", MAKERS)
def test_every_set_by_the_command_line(tmp_path, name):
    """Every set has a test, and its command keeps a dataset that verifies."""
    assert list(MAKERS) == [one.name for one in SETS]
    source = MAKERS[name](tmp_path / "set")
    further = ["--uncertain", "zeros"] if name in ("chexpert", "mimic") else []
    run = CliRunner().invoke(
        app, ["data", "import", name, str(source), "--resolution", "32", "--allow-partial", "--json", *further]
    )
    assert run.exit_code == 0, run.output
    summary = json.loads(run.stdout)
    assert summary["name"] == name.replace("-", "_") and summary["films"] == len(find_dataset(summary["name"]))
    assert CliRunner().invoke(app, ["data", "verify", summary["name"]]).exit_code == 0
    assert list((tmp_path / "home/imports").iterdir()) == []


def test_options_of_another_set_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"^siim: --uncertain is for chexpert, mimic; this set has nothing of the kind"
    ):
        imported("siim", layouts.siim(tmp_path / "set", [("a", "-1")]), uncertain="zeros")


# ------------------------------------------------------------------------------------------------------------------- MIMIC


def test_mimic(tmp_path):
    found = imported("mimic", layouts.mimic(tmp_path / "set"), uncertain="zeros")
    assert column(found, "split") == {"d1": "train", "d3": "train", "d4": "val", "d5": "test"}
    assert column(found, "patient") == {"d1": "10000032", "d3": "10000032", "d4": "11000033", "d5": "12000034"}
    assert column(found, "Edema") == {"d1": 1, "d3": 0, "d4": 0, "d5": 0}
    assert column(found, "Pneumonia")["d1"] == 0
    assert "1 film of views that are not frontal left out (--views all keeps them): LATERAL 1" in said(found)
    assert "1 film whose view the tables do not say left out" in said(found)
    assert "1 film without any label left out" in said(found)  # d6, whose study is in no table of labels


def test_mimic_with_two_rows_of_a_study_that_differ(tmp_path):
    source = layouts.mimic(tmp_path / "set")
    path = source / "mimic-cxr-2.0.0-chexpert.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([*lines, lines[1].replace("1.0", "0.0", 1)]).encode()))
    with pytest.raises(InputError, match=r"line 6 of .*: another row of study_id 50000001"):
        imported("mimic", source, uncertain="zeros")


def test_mimic_with_the_other_labels(tmp_path):
    found = imported("mimic", layouts.mimic(tmp_path / "set"), uncertain="zeros", labels="negbio")
    assert column(found, "Fracture")["d1"] == 1 and "labels by negbio" in found.info.provenance
    with pytest.raises(InputError, match="unknown --labels 'chexbert'"):
        imported("mimic", tmp_path / "set", labels="chexbert")


# ---------------------------------------------------------------------------------------------------------------- PadChest


def test_padchest(tmp_path):
    found = imported("padchest", layouts.padchest(tmp_path / "set"))
    assert found.ids == ["a", "c", "e"] and found.info.findings == ("Atelectasis", "Cardiomegaly", "Effusion")
    assert found.labels().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert column(found, "patient") == {"a": "P1", "c": "P2", "e": "P4"}
    assert "label 'laminar atelectasis' (2 films) read as Atelectasis" in said(found)
    assert "1 film of views that are not frontal left out (--views all keeps them): L 1" in said(found)
    assert "1 film without any label left out" in said(found)
    assert "1 other labels not read (--findings 'scoliosis,...' takes them): scoliosis" in said(found)
    read = read_film(tmp_path / "set/13/c.png").pixels
    assert (found.images[1] == Square(30, 36, 32).film(read)).all()


@pytest.mark.parametrize(
    ("name", "findings"),
    [
        ("segmental atelectasis", ["Atelectasis"]),
        ("atelectasis basal", ["Atelectasis"]),
        ("empyema", ["Effusion"]),
        ("hydropneumothorax", ["Effusion", "Pneumothorax"]),
        ("reticular interstitial pattern", ["Infiltration"]),
        ("consolidation", ["Consolidation", "Infiltration"]),
        ("asbestosis signs", ["Fibrosis"]),
        ("COVID 19", ["Pneumonia"]),
        ("hiatal hernia", ["Hernia"]),
        ("subcutaneous emphysema", []),
        ("breast mass", []),
    ],
)
def test_padchest_names_below_a_finding_in_its_tree_are_that_finding(name, findings):
    assert padchest_set._findings([name]) == findings


def test_padchest_with_findings_of_its_own(tmp_path):
    found = imported("padchest", layouts.padchest(tmp_path / "set"), findings=["Scoliosis", "pleural effusion"])
    assert set(found.info.findings) == {"scoliosis", "Effusion"}
    assert column(found, "scoliosis") == {"a": 1, "c": 0, "e": 1}
    with pytest.raises(InputError, match="unknown finding 'kyphosis'"):
        imported("padchest", tmp_path / "set", findings=["kyphosis"])


# ------------------------------------------------------------------------------------------------------------------- VinDr


@pytest.mark.parametrize(
    ("rule", "expected", "boxes"),
    [
        ("majority", {"Cardiomegaly"}, 2),
        ("any", {"Cardiomegaly", "Effusion", "Pneumonia"}, 3),
        ("all", {"Cardiomegaly"}, 2),
    ],
)
def test_vindr_readers_by_the_rule(tmp_path, rule, expected, boxes):
    found = imported("vindr", layouts.vindr(tmp_path / "set"), readers=rule)
    row = found.cases.set_index("id").loc["t1"]
    assert {name for name in found.info.findings if row[name]} == expected
    assert (found.boxes["id"] == "t1").sum() == boxes
    assert column(found, "Atelectasis") == {"t1": 0, "t2": int(rule == "any"), "e1": 1}
    assert column(found, "split") == {"t1": "train", "t2": "train", "e1": "test"}
    assert f"2 films on which readers differ: a finding is there by {rule}" in said(found)


def test_vindr_boxes_lie_on_the_padded_film(tmp_path):
    found = imported("vindr", layouts.vindr(tmp_path / "set"), resolution=24)
    box = found.boxes[found.boxes["id"] == "e1"].iloc[0]
    assert [box[side] for side in "xywh"] == [(4 + 4) / 2, 6 / 2, 16 / 2, 24 / 2]  # 48 x 40 to 24: 4 columns left of it


def test_vindr_pictures_of_another_size_with_the_original_one(tmp_path):
    source = layouts.vindr(tmp_path / "set")
    layouts.table(source / "test_meta.csv", ("image_id", "dim0", "dim1"), [{"image_id": "e1", "dim0": 96, "dim1": 80}])
    box = imported("vindr", source, resolution=24).boxes.query("id == 'e1'").iloc[0]
    assert [box[side] for side in "xywh"] == [(2 + 4) / 2, 3 / 2, 8 / 2, 12 / 2]
    (source / "test_meta.csv").unlink()
    layouts.film(source / "test/e1.png", 3, (24, 20))
    with pytest.raises(
        InputError, match=r"vindr: box outside the film: Atelectasis of e1 .* 20 x 24 pixels. Are the films"
    ):
        imported("vindr", source)


def test_vindr_findings_that_one_table_lacks_are_not_read(tmp_path):
    """Of the films of the other part they are not known, and so not 0."""
    source = layouts.vindr(tmp_path / "set")
    path = source / "annotations/image_labels_test.csv"
    path.write_text(path.read_text().replace("Other disease", "Other diseases"))
    found = imported("vindr", source)
    assert not {"Other disease", "Other diseases"} & set(found.info.findings)
    assert "not in the tables of all parts: Other disease, Other diseases" in said(found)


def test_vindr_of_the_challenge(tmp_path):
    """One table of boxes by three readers, with "No finding" as a class; no test labels."""
    source = layouts.vindr(tmp_path / "set")
    rows = [
        {
            "image_id": one,
            "class_name": name,
            "rad_id": reader,
            **dict.fromkeys(("x_min", "y_min"), low),
            "x_max": high,
            "y_max": high,
        }
        for one, name, reader, low, high in (
            ("t1", "Cardiomegaly", "R1", 5, 20),
            ("t1", "Cardiomegaly", "R2", 5, 22),
            ("t1", "No finding", "R3", "", ""),
            ("t2", "No finding", "R1", "", ""),
            ("t2", "No finding", "R2", "", ""),
            ("t2", "Cardiomegaly", "R3", 5, 9),
        )
    ]
    shutil.rmtree(source / "annotations")
    header = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
    layouts.table(source / "train.csv", header, rows)
    found = imported("vindr", source)
    assert column(found, "Cardiomegaly") == {"t1": 1, "t2": 0} and len(found.boxes) == 2
    assert "split" not in found.cases and "no official split" in said(found)


# ------------------------------------------------------------------------------------------------------------ RSNA and SIIM


def test_rsna(tmp_path):
    found = imported("rsna", layouts.rsna(tmp_path / "set"))
    assert column(found, "Pneumonia") == {"aa": 0, "bb": 1, "cc": 0}
    assert found.boxes[["x", "y", "w", "h"]].to_numpy().tolist() == [[8, 4, 16, 2], [0, 0, 1, 1]]
    assert column(found, "class")["cc"] == "No Lung Opacity / Not Normal"
    assert "3 films count as a person each, though NIH's patients have several" in said(found)


def test_rsna_knows_its_patients_by_the_list_of_films(tmp_path):
    found = imported("rsna", layouts.rsna(tmp_path / "set", mappings=True), split="patients:0.5")
    assert column(found, "patient") == {"aa": "00000001", "bb": "00000001", "cc": "00000007"}
    assert column(found, "split")["aa"] == column(found, "split")["bb"] != column(found, "split")["cc"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cc,1,1,5,5,0", "line 6 of .*cc has Target 0 and a box"),
        ("dd,,,,,1", "line 6 of .*dd has Target 1 and no box"),
        ("aa,1,1,5,5,1", "Target of aa must be 0 or 1, and one for a film"),
        ("dd,900,0,500,5,1", "box outside the film"),
    ],
)
def test_rsna_rows_that_cannot_be(tmp_path, line, message):
    source = layouts.rsna(tmp_path / "set")
    path = source / "stage_2_train_labels.csv"
    path.write_text(path.read_text() + line + "\n")
    layouts.film(source / "stage_2_train_images/dd.png", 9)
    with pytest.raises(InputError, match=message):
        imported("rsna", source)


def test_rle_is_relative_and_runs_down_the_columns():
    mask = rle_mask([np.array([[1, 2], [3, 1]]), np.array([[15, 1]])], side=4)
    assert mask.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]


def test_siim(tmp_path):
    """A rectangle of rows 256 to 511 and columns 512 to 767, written as the official table does, in two rows."""
    first = f"{512 * 1024 + 256} 256" + " 768 256" * 127
    second = f"{640 * 1024 + 256} 256" + " 768 256" * 127
    found = imported("siim", layouts.siim(tmp_path / "set", [("a", "-1"), ("b", first), ("b", second)]))
    assert found.organs == ("pneumothorax",) and column(found, "Pneumothorax") == {"a": 0, "b": 1}
    expected = np.zeros((32, 32), dtype=np.uint8)
    expected[8:16, 16:24] = 1
    assert not found.masks[0].any() and (found.masks[1] == expected).all()


def test_siim_films_that_a_uid_names_without_an_ending_are_two(tmp_path):
    source = layouts.siim(tmp_path / "set", [("1.2.276.0", "-1"), ("1.2.276.1", "-1")])
    for path in source.rglob("*.png"):
        path.rename(path.with_suffix(""))
    assert imported("siim", source).ids == ["1.2.276.0", "1.2.276.1"]


@pytest.mark.parametrize("runs", ["1 2 3", "a b", "1048570 7", "5 -2", "", "1 99999999999999999999"])
def test_siim_runs_that_cannot_be(tmp_path, runs):
    with pytest.raises(InputError, match=r"siim: line 2 of .*EncodedPixels must be"):
        imported("siim", layouts.siim(tmp_path / "set", [("a", runs)]))


def test_laterals_by_the_dicom_header_are_left_out_and_said(tmp_path):
    from .dicom_files import dataset

    source = layouts.siim(tmp_path / "set", [("a", "-1"), ("b", "-1")])
    next(source.rglob("b.png")).unlink()
    dataset(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 4, ViewPosition="LL").save_as(
        source / "dicom-images-train/b.dcm"
    )
    found = imported("siim", source)
    assert found.ids == ["a"] and "1 film not frontal by the DICOM header left out (--views all keeps them" in said(
        found
    )
    everything = imported("siim", source, views="all")
    assert everything.ids == ["a", "b"] and "of another view than a frontal one (LATERAL" in said(everything)


# -------------------------------------------------------------------------------------------------------------- lungs, Det10


@pytest.mark.parametrize("side", ["right", "left"])
def test_montgomery_left_lung_is_the_patients(tmp_path, side):
    """Whichever side `leftMask` means: the patient's left lung lies on the right of the film."""
    found = imported("montgomery", layouts.montgomery(tmp_path / "set", sides={"MCUCXR_0001_0": side}), resolution=48)
    assert found.organs == ("left_lung", "right_lung") and column(found, "Tuberculosis") == {
        "MCUCXR_0001_0": 0,
        "MCUCXR_0100_1": 1,
    }
    for masks in found.organ_masks():
        left, right = (np.argwhere(mask) for mask in masks)
        assert left.min(0).tolist() == [12, 30] and left.max(0).tolist() == [35, 41]
        assert right.min(0).tolist() == [12, 6] and right.max(0).tolist() == [39, 17]


def test_a_lung_mask_that_is_empty_is_refused(tmp_path):
    source = layouts.montgomery(tmp_path / "set")
    path = source / "MontgomerySet/ManualMask/leftMask/MCUCXR_0001_0.png"
    Image.fromarray(np.zeros((40, 48), dtype=np.uint8)).save(path)
    with pytest.raises(InputError, match=r"the mask of a lung of MCUCXR_0001_0 is empty: .*leftMask"):
        imported("montgomery", source)


def test_a_film_without_its_lung_mask(tmp_path):
    source = layouts.montgomery(tmp_path / "set")
    (source / "MontgomerySet/ManualMask/leftMask/MCUCXR_0001_0.png").unlink()
    assert imported("montgomery", source).ids == ["MCUCXR_0100_1"]
    assert imported("montgomery", source, masks=False).masks is None


def test_shenzhen_films_with_a_mask_alone(tmp_path):
    found = imported("shenzhen", layouts.shenzhen(tmp_path / "set"), resolution=24)
    assert found.ids == ["CHNCXR_0001_0", "CHNCXR_0327_1"] and found.organs == ("lungs",)
    assert "1 film without a mask left out (--no-masks takes all)" in said(found)
    where = np.argwhere(found.masks[0])
    assert where.min(0).tolist() == [6, 6] and where.max(0).tolist() == [17, 17]
    everything = imported("shenzhen", tmp_path / "set", masks=False)
    assert len(everything) == 3 and everything.masks is None
    shutil.rmtree(tmp_path / "set/mask")
    assert "no folder 'mask' with the lung masks" in said(imported("shenzhen", tmp_path / "set"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["films.csv", "scans/"], "found films.csv, scans: `cxrbench data import manifest`"),
        ([f"{name}.txt" for name in "abcdefgh"], r"found a.txt, .*f.txt and 2 more$"),
        ([], "the folder is empty"),
    ],
)
@pytest.mark.parametrize("which", ["kermany", "padchest", "rsna"])
def test_a_folder_that_is_no_download_is_told_by_what_it_holds(which, names, words, tmp_path):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    with pytest.raises(InputError, match=words):
        imported(which, tmp_path)


def test_the_films_with_lung_masks_are_another_import(tmp_path):
    (tmp_path / "metadata.csv").touch()
    (tmp_path / "masks").mkdir()
    with pytest.raises(
        InputError, match=r"kermany: .* has metadata.csv and masks/: `cxrbench data import kermany-lungs`"
    ):
        imported("kermany", tmp_path)


def test_kermany_children_are_counted_in_each_part_and_val_trains(tmp_path):
    found = imported("kermany", layouts.kermany(tmp_path / "set"), resolution=24)
    assert column(found, "split") == {
        "train-IM-0115-0001": "train",
        "train-NORMAL2-IM-0927-0001-0002": "train",
        "train-person1_bacteria_1": "train",
        "train-person1_bacteria_2": "train",
        "train-person1946_virus_4874": "train",
        "test-person1_virus_6": "test",
        "test-IM-0115-0001": "test",
    }
    assert len(set(column(found, "patient").values())) == 6  # two films of one child
    assert found.cases[list(found.info.findings)].sum().tolist() == [4, 2, 2]
    assert "1 film of the folder val train" in said(found) and "patients are in train and in test" not in said(found)
    assert len(imported("kermany", tmp_path / "set" / "chest_xray", resolution=24)) == 7
    (tmp_path / "set/chest_xray/test/NORMAL/holiday.jpeg").write_bytes(b"")
    with pytest.raises(InputError, match=r"holiday.jpeg is no film of the set: expected names such as IM-0115"):
        imported("kermany", tmp_path / "set")


def test_chestx_det10(tmp_path):
    found = imported("chestx-det10", layouts.chestx_det10(tmp_path / "set"))
    assert column(found, "split") == {"00000042_006": "train", "00000043_000": "train", "00000050_000": "test"}
    assert column(found, "patient")["00000042_006"] == "00000042"
    assert found.cases[list(found.info.findings)].sum().to_dict() | {"Fibrosis": 1, "Effusion": 1} == {
        **dict.fromkeys(found.info.findings, 0),
        "Fibrosis": 1,
        "Effusion": 1,
    }
    boxes = found.boxes[["x", "y", "w", "h"]].to_numpy() * 32
    assert boxes.tolist() == [[632, 721, 277, 248], [129, 611, 345, 298], [0, 512, 256, 512]]


def test_people_in_both_parts_of_an_official_split_are_said(tmp_path):
    found = imported("chestx-det10", layouts.chestx_det10(tmp_path / "set", leak=True))
    assert "1 patients are in train and in test by the official split (the first: 00000042)" in said(found)
    drawn = imported("chestx-det10", tmp_path / "set", split="patients:0.5")
    assert "patients are in" not in said(drawn) and "the official split is replaced" in said(drawn)


def test_films_are_never_all_in_memory(tmp_path):
    """The arrays of an import are maps of files."""
    with import_public(
        public_set("rsna"), layouts.rsna(tmp_path / "set"), 32, options=PublicOptions(allow_partial=True)
    ) as found:
        assert isinstance(found.images, np.memmap)
