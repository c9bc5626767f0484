"""Small public sets in their official layouts, for tests: real names of columns, folders and files, films of few pixels."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHEXPERT = [
    "Path",
    "Sex",
    "Age",
    "Frontal/Lateral",
    "AP/PA",
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
]
MIMIC = [
    "subject_id",
    "study_id",
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
]
VINDR = [
    "Aortic enlargement",
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Nodule/Mass",
    "Pleural effusion",
    "Pneumonia",
    "Other disease",
    "No finding",
]
PADCHEST = [
    "",
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "ViewPosition_DICOM",
    "Projection",
    "MethodProjection",
    "Pediatric",
    "ReportID",
    "Report",
    "MethodLabel",
    "Labels",
    "Localizations",
]


def film(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32), *, bits: int = 8) -> Path:
    """A film of noise that differs by seed, (height, width), from 0 to white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = 2**bits - 1
    values = np.random.default_rng(seed).integers(0, top + 1, size)
    values[0, :2] = 0, top
    Image.fromarray(values.astype(np.uint16 if bits > 8 else np.uint8)).save(path)
    return path


def table(path: Path, header: Sequence[str], rows: Sequence[Mapping[str, Any]], **blanks: str) -> Path:
    """A csv with these columns, packed where the name ends in .gz; what a row does not say is blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def chexpert(root: Path, name: str = "CheXpert-v1.0-small") -> Path:
    """Five films of four patients: a lateral one, an uncertain one, one without labels; two validate."""
    rows = [
        ("train/patient00001/study1/view1_frontal.jpg", "Frontal", {"Cardiomegaly": "1.0", "Edema": "-1.0"}),
        ("train/patient00001/study1/view2_lateral.jpg", "Lateral", {"Cardiomegaly": "1.0", "Edema": "-1.0"}),
        ("train/patient00002/study1/view1_frontal.jpg", "Frontal", {"No Finding": "1.0", "Pleural Effusion": "0.0"}),
        ("train/patient00003/study2/view1_frontal.jpg", "Frontal", {}),
    ]
    valid = [
        (
            "valid/patient64541/study1/view1_frontal.jpg",
            "Frontal",
            {**dict.fromkeys(CHEXPERT[5:], "0.0"), "Edema": "1.0"},
        )
    ]
    for file, some in (("train.csv", rows), ("valid.csv", valid)):
        listed = [
            {"Path": f"{name}/{path}", "Sex": "Female", "Age": 68, "Frontal/Lateral": view, **labels}
            | ({"AP/PA": "AP"} if view == "Frontal" else {})
            for path, view, labels in some
        ]
        table(root / name / file, CHEXPERT, listed)
    for seed, (path, _, _) in enumerate([*rows, *valid]):
        film(root / name / path, seed, (32, 39))
    return root / name


def mimic(root: Path) -> Path:
    """Six films of three patients, of all views and parts; one study without labels."""
    films = [
        ("d1", 50000001, 10000032, "train", "PA", ""),
        ("d2", 50000001, 10000032, "train", "LATERAL", ""),
        ("d3", 50000002, 10000032, "train", "", "antero-posterior"),
        ("d4", 50000003, 11000033, "validate", "AP", ""),
        ("d5", 50000004, 12000034, "test", "AP", ""),
        ("d6", 50000005, 12000034, "test", "AP", ""),
        ("d7", 50000004, 12000034, "test", "", ""),
    ]
    named = ("dicom_id", "study_id", "subject_id", "split", "ViewPosition", "ViewCodeSequence_CodeMeaning")
    rows = [dict(zip(named, one, strict=True)) for one in films]
    strip = [{key: row[key] for key in named[:4]} for row in rows]
    table(root / "mimic-cxr-2.0.0-split.csv.gz", named[:4], strip)
    header = ("dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns", "ViewCodeSequence_CodeMeaning")
    about = [{key: row[key] for key in header if key in row} for row in rows]
    table(root / "mimic-cxr-2.0.0-metadata.csv.gz", header, about)
    labels = [
        {"subject_id": 10000032, "study_id": 50000001, "Edema": "1.0", "Pneumonia": "-1.0"},
        {"subject_id": 10000032, "study_id": 50000002, "No Finding": "1.0"},
        {"subject_id": 11000033, "study_id": 50000003, "Edema": "0.0"},
        {"subject_id": 12000034, "study_id": 50000004, "Pneumothorax": "1.0"},
    ]
    table(root / "mimic-cxr-2.0.0-chexpert.csv.gz", MIMIC, labels)
    table(root / "mimic-cxr-2.0.0-negbio.csv.gz", MIMIC, [{**row, "Edema": "", "Fracture": "1.0"} for row in labels])
    for seed, (name, study, patient, *_) in enumerate(films):
        film(root / f"files/p{str(patient)[:2]}/p{patient}/s{study}/{name}.jpg", seed, (40, 32))
    return root


def padchest(root: Path) -> Path:
    """Five films: frontal ones, a lateral one, one without a label."""
    rows = [
        ("a.png", "0", "P1", "PA", "['laminar atelectasis', 'pleural effusion', 'scoliosis']"),
        ("b.png", "0", "P1", "L", "['laminar atelectasis', 'pleural effusion', 'scoliosis']"),
        ("c.png", "13", "P2", "AP_horizontal", "['normal']"),
        ("d.png", "13", "P3", "AP", "['exclude']"),
        ("e.png", "54", "P4", "PA", "['cardiomegaly', 'scoliosis']"),
    ]
    listed = [
        {
            "": n,
            "ImageID": i,
            "ImageDir": d,
            "PatientID": p,
            "Projection": v,
            "Labels": labels,
            "MethodLabel": "Physician",
        }
        for n, (i, d, p, v, labels) in enumerate(rows)
    ]
    table(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", PADCHEST, listed)
    for seed, (name, folder, *_) in enumerate(rows):
        film(root / folder / name, seed, (30, 36), bits=16)
    return root


def vindr(root: Path) -> Path:
    """Two films train, read by three; one tests. Films of 48 x 40 pixels."""
    readers = {
        "t1": [{"Cardiomegaly", "Pleural effusion"}, {"Cardiomegaly"}, {"Cardiomegaly", "Pneumonia"}],
        "t2": [{"No finding"}, {"No finding"}, {"Atelectasis"}],
    }

    def flags(there: set[str]) -> dict[str, int]:
        return {name: int(name in there) for name in VINDR}

    rows = [
        {"image_id": one, "rad_id": f"R{n}", **flags(there)}
        for one, all_of in readers.items()
        for n, there in enumerate(all_of)
    ]
    table(root / "annotations/image_labels_train.csv", ["image_id", "rad_id", *VINDR], rows)
    table(
        root / "annotations/image_labels_test.csv", ["image_id", *VINDR], [{"image_id": "e1", **flags({"Atelectasis"})}]
    )
    corners = ("x_min", "y_min", "x_max", "y_max")

    def box(one: str, name: str, *at: int) -> dict[str, object]:
        return {"image_id": one, "class_name": name, **dict(zip(corners, at, strict=False))}

    drawn = [
        box("t1", "Cardiomegaly", 10, 20, 30, 40) | {"rad_id": "R0"},
        box("t1", "Cardiomegaly", 12, 20, 30, 40) | {"rad_id": "R1"},
        box("t1", "Pleural effusion", 0, 0, 8, 8) | {"rad_id": "R0"},
        box("t2", "No finding") | {"rad_id": "R0"},
        box("t2", "Atelectasis", 1, 1, 9, 9) | {"rad_id": "R2"},
    ]
    table(root / "annotations/annotations_train.csv", ["image_id", "rad_id", "class_name", *corners], drawn)
    test = [box("e1", "Atelectasis", 4, 6, 20, 30)]
    table(root / "annotations/annotations_test.csv", ["image_id", "class_name", *corners], test)
    for seed, (part, one) in enumerate((("train", "t1"), ("train", "t2"), ("test", "e1"))):
        film(root / part / f"{one}.png", seed, (48, 40))
    return root


def rsna(root: Path, *, mappings: bool = False) -> Path:
    """Three films of 1,024 pixels' boxes, kept as films of 32; one with two boxes."""
    rows = [
        {"patientId": "aa", "Target": 0},
        {"patientId": "bb", "x": 256, "y": 128, "width": 512, "height": 64, "Target": 1},
        {"patientId": "bb", "x": 0, "y": 0, "width": 32, "height": 32, "Target": 1},
        {"patientId": "cc", "Target": 0},
    ]
    table(root / "stage_2_train_labels.csv", ("patientId", "x", "y", "width", "height", "Target"), rows)
    classes = (("aa", "Normal"), ("bb", "Lung Opacity"), ("bb", "Lung Opacity"), ("cc", "No Lung Opacity / Not Normal"))
    listed = [{"patientId": one, "class": name} for one, name in classes]
    table(root / "stage_2_detailed_class_info.csv", ("patientId", "class"), listed)
    for seed, one in enumerate(("aa", "bb", "cc")):
        film(root / "stage_2_train_images" / f"{one}.png", seed)
    if mappings:
        films = (("aa", "00000001_000.png"), ("bb", "00000001_003.png"), ("cc", "00000007_000.png"))
        text = json.dumps([{"subset_img_id": one, "img_id": nih, "orig_labels": []} for one, nih in films])
        (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(text)
    return root


def siim(root: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Films by their rows of `train-rle.csv`, whose second name begins with a blank as the official one does."""
    text = "ImageId, EncodedPixels\n" + "".join(f"{name}, {runs}\n" for name, runs in rows)
    root.mkdir(parents=True, exist_ok=True)
    (root / "train-rle.csv").write_text(text)
    for seed, name in enumerate(dict.fromkeys(name for name, _ in rows)):
        film(root / "dicom-images-train" / f"study{seed}" / f"series{seed}" / f"{name}.png", seed)
    return root


def montgomery(root: Path, *, sides: Mapping[str, str] | None = None) -> Path:
    """Two films; the mask file `leftMask` lies where `sides` says ("right" of the film by default)."""
    base = root / "MontgomerySet"
    for seed, name in enumerate(("MCUCXR_0001_0", "MCUCXR_0100_1")):
        film(base / "CXR_png" / f"{name}.png", seed, (40, 48))
        on_right = (sides or {}).get(name, "right") == "right"
        for folder, right in (("leftMask", on_right), ("rightMask", not on_right)):
            mask = np.zeros((40, 48), dtype=np.uint8)
            mask[8:32, 30 : 42 if right else 40] = 255 if right else 0
            if not right:
                mask[8:36, 6:18] = 255
            path = base / "ManualMask" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    return root


def shenzhen(root: Path) -> Path:
    """Three films, two of them with a mask, which is of half the film's size."""
    for seed, name in enumerate(("CHNCXR_0001_0", "CHNCXR_0327_1", "CHNCXR_0328_1")):
        film(root / "CXR_png" / f"{name}.png", seed, (48, 40))
        if seed < 2:
            mask = np.zeros((24, 20), dtype=np.uint8)
            mask[6:18, 4:16] = 255
            path = root / "mask" / f"{name}_mask.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    return root


def kermany(root: Path) -> Path:
    """Six films: two of one child train, one of the folder val, and a child of the same number is tested."""
    names = (
        "train/NORMAL/IM-0115-0001",
        "train/NORMAL/NORMAL2-IM-0927-0001-0002",
        "train/PNEUMONIA/person1_bacteria_1",
        "train/PNEUMONIA/person1_bacteria_2",
        "val/PNEUMONIA/person1946_virus_4874",
        "test/PNEUMONIA/person1_virus_6",
        "test/NORMAL/IM-0115-0001",
    )
    for seed, name in enumerate(names):
        film(root / "chest_xray" / f"{name}.jpeg", seed, (48, 40))
    (root / "chest_xray" / "train" / "NORMAL" / ".DS_Store").write_bytes(b"")
    return root


def chestx_det10(root: Path, *, leak: bool = False) -> Path:
    """Two films train, one tests; with `leak` the person of a training film is tested."""
    root.mkdir(parents=True, exist_ok=True)
    tested = "00000042_007.png" if leak else "00000050_000.png"
    lists = {
        "train": [
            {
                "file_name": "00000042_006.png",
                "syms": ["Fibrosis"] * 2,
                "boxes": [[632, 721, 909, 969], [129, 611, 474, 909]],
            },
            {"file_name": "00000043_000.png", "syms": [], "boxes": []},
        ],
        "test": [{"file_name": tested, "syms": ["Effusion"], "boxes": [[0, 512, 256, 1024]]}],
    }
    for part, entries in lists.items():
        (root / f"{part}.json").write_text(json.dumps(entries))
        for seed, entry in enumerate(entries):
            film(root / f"{part}_data" / str(entry["file_name"]), seed + 10 * len(part))
    return root
