"""A valid entry damaged in more than 200 ways, some by somebody who knows the format: none is accepted, none crashes."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.runs.plan import key_of
from cxrbench.benchmark.runs.record import Record
from cxrbench.leaderboard.arrays import write_scores
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.pack import seal

Damage = Callable[[Path], None]
FLIPS = 8
MADE: dict[str, Damage] = {}


def damage(name: str) -> Callable[[Damage], Damage]:
    def add(function: Damage) -> Damage:
        MADE[name] = function
        return function

    return add


# ------------------------------------------------------------------------------------------------ reaching the parts


def cell(entry: Path, arm: str = "synthetic") -> Path:
    """The folder of the first cell of an arm."""
    for path in sorted((entry / "records").iterdir()):
        if json.loads((path / "record.json").read_text())["cell"]["arm"] == arm:
            return path
    raise AssertionError(arm)


def results_file(entry: Path) -> Path:
    return next((entry / "results").iterdir())


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def name_files(folder: Path) -> None:
    """Make a record name its files as they are now: what somebody does who knows the format."""
    names = ("predictions.npz", "scores.parquet")
    files = {name: digest.of_file(folder / name) for name in names if (folder / name).is_file()}
    change_json(folder / "record.json", lambda record: record.update(files=files))


def rekey(entry: Path, folder: Path, change: Callable[[Any], None]) -> None:
    """Change what a cell says it is and give it the key that follows, everywhere."""
    change_json(folder / "record.json", change)
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    old, new = folder.name, key_of(record.cell)
    (folder / "record.json").write_text(record.model_copy(update={"key": new}).model_dump_json(by_alias=True))
    folder.rename(folder.with_name(new))
    path = results_file(entry)
    path.write_text(path.read_text().replace(old, new))


def at(value: Any, keys: tuple[str | int, ...]) -> tuple[Any, str | int]:
    for key in keys[:-1]:
        value = value[key]
    return value, keys[-1]


def setting(keys: tuple[str | int, ...], new: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        holder, last = at(value, keys)
        holder[last] = new(holder[last]) if callable(new) else new

    return change


def predictions(entry: Path, change: Callable[[dict[str, Any]], None], arm: str = "synthetic") -> None:
    folder = cell(entry, arm)
    with np.load(folder / "predictions.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez_compressed(folder / "predictions.npz", **arrays)
    name_files(folder)


def scores(entry: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    folder = cell(entry)
    frame = change(pd.read_parquet(folder / "scores.parquet"))
    write_scores(frame, folder / "scores.parquet")
    name_files(folder)


# ------------------------------------------------------------------------------- bytes that changed after packing

SEALED = ("records/record.json", "records/predictions.npz", "records/scores.parquet", "results/")


def flip(part: str, number: int) -> Damage:
    def change(entry: Path) -> None:
        path = results_file(entry) if part == "results/" else cell(entry) / part.split("/")[1]
        raw = bytearray(path.read_bytes())
        raw[(number * 7919 + 13) % len(raw)] ^= 1 << number % 8
        path.write_bytes(raw)

    return change


def cut(part: str, share: float) -> Damage:
    def change(entry: Path) -> None:
        path = results_file(entry) if part == "results/" else cell(entry) / part.split("/")[1]
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        if part in SEALED[1:3]:
            name_files(path.parent)
        seal(entry)

    return change


for _part in SEALED:
    for _number in range(FLIPS):
        MADE[f"one bit of {_part} ({_number})"] = flip(_part, _number)
    for _share in (0.0, 0.3, 0.9, 0.99):
        MADE[f"{_part} cut at {_share}"] = cut(_part, _share)


@damage("a record without its predictions")
def _(entry: Path) -> None:
    (cell(entry) / "predictions.npz").unlink()
    name_files(cell(entry))
    seal(entry)


@damage("a cell taken away")
def _(entry: Path) -> None:
    for path in cell(entry).iterdir():
        path.unlink()
    cell_folder = next(path for path in (entry / "records").iterdir() if not any(path.iterdir()))
    cell_folder.rmdir()
    seal(entry)


@damage("a file without a digest")
def _(entry: Path) -> None:
    change_json(entry / "digests.json", lambda value: value["files"].pop(sorted(value["files"])[0]))


@damage("a digest without a file")
def _(entry: Path) -> None:
    change_json(entry / "digests.json", lambda value: value["files"].update({"records/nothing": "0" * 64}))


@damage("no digests")
def _(entry: Path) -> None:
    (entry / "digests.json").unlink()


# -------------------------------------------------------------------- fields of a record, sealed again by who did it

RECORD_FIELDS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "schema too new": (("schema",), 2),
    "schema of another type": (("schema",), "1"),
    "another key": (("key",), "0" * 64),
    "another task": (("cell", "task", "name"), "squares2"),
    "another protocol version": (("cell", "task", "version"), 2),
    "another code of the task": (("cell", "task", "code"), "b" * 64),
    "another setting": (("cell", "task", "settings", "resolution"), 32),
    "another dataset": (("cell", "data", "name"), "jsrt_scr"),
    "another dataset digest": (("cell", "data", "digest"), "0" * 64),
    "another provenance": (("cell", "data", "provenance"), "the official films"),
    "another preset": (("cell", "preset"), "paper"),
    "another fold": (("cell", "fold"), "0"),
    "another size": (("cell", "size"), "tiny"),
    "another arm": (("cell", "arm"), "finetune"),
    "an unknown arm": (("cell", "arm"), "magic"),
    "another seed": (("cell", "seed"), 7),
    "another device": (("cell", "device"), "cuda"),
    "other packages": (("cell", "packages"), {"numpy": "3"}),
    "no provider": (("cell", "provider"), None),
    "another provider": (("cell", "provider", "name"), "famous_gan"),
    "another code of the provider": (("cell", "provider", "code"), "1" * 64),
    "other settings of the provider": (("cell", "provider", "settings"), {"steps": 1}),
    "labels by somebody else": (("cell", "provider", "label_by"), "teacher"),
    "a better number": (("table", 0, "value"), lambda value: value + 0.01),
    "a slightly better number": (("table", 1, "value"), lambda value: value + 1e-4),
    "a better average": (("table", 2, "value"), lambda value: value + 0.01),
    "another structure": (("table", 0, "structure"), "aorta"),
    "another metric": (("table", 0, "metric"), "iou"),
    "an empty table": (("table",), []),
    "a number as text": (("table", 0, "value"), "0.9"),
    "a number that is missing": (("table", 0, "value"), None),
    "a row twice": (("table",), lambda rows: [*rows, rows[0]]),
    "other test films": (("test_ids",), "0" * 64),
    "other counts of test films": (("downstream", "test_films"), 9),
    "a negative time": (("downstream", "seconds"), -1.0),
    "another time": (("downstream", "seconds"), 1.5),
    "no time": (("downstream", "seconds"), 0.0),
    "no training films": (("downstream", "train_films"), 0),
    "other synthetic films": (("downstream", "synthetic_films"), 11),
    "a curve of texts": (("downstream", "curves"), {"real": {"rows": [{"step": "one"}]}}),
    "no memory": (("downstream", "peak_memory_bytes"), 0),
    "memory as a fraction": (("downstream", "peak_memory_bytes"), 0.5),
    "no cost": (("cost",), None),
    "an impossible rate": (("cost", "sample_images_per_second"), 1e12),
    "a rate above the processor's peak": (("cost", "sample_images_per_second"), 4e5),
    "a negative rate": (("cost", "sample_images_per_second"), -5.0),
    "a training rate above the peak": (("cost", "train_images_per_second"), 4e5),
    "fewer parameters": (("cost", "parameters"), 10),
    "negative parameters": (("cost", "parameters"), -1),
    "parameters that memory cannot hold": (("cost", "parameters"), 10**12),
    "a fit of a century": (("cost", "fit_seconds"), 3e9),
    "a shorter fit": (("cost", "fit_seconds"), 1.0),
    "a million threads": (("cost", "threads"), 10**6),
    "another machine": (("cost", "device"), "a better processor"),
    "another environment": (("environment", "device"), "a better processor"),
    "HTML in the environment": (("environment", "platform"), "<script>alert(1)</script>"),
    "an entity in the environment": (("environment", "platform"), "&lt;b&gt;"),
    "a text that turns round": (("environment", "device"), "cpu \u202eevil"),
    "a text with a zero-width space": (("environment", "device"), "a pro\u200bcessor"),
    "a text with a line break": (("environment", "device"), "a\nprocessor"),
    "a text with a bell": (("environment", "device"), "a\x07processor"),
    "a text not in normal form": (("environment", "device"), "Universite\u0301"),
    "a lone surrogate": (("environment", "device"), "\ud800"),
    "no films key": (("synthetic_key",), None),
    "no fit key": (("fit_key",), None),
    "no leak check": (("checks",), {}),
    "a leak check of nothing": (("checks", "near_test"), None),
    "copies of test films": (("checks", "near_test", "copies"), 3),
    "near copies with another p": (("checks", "near_test", "flagged"), 5),
    "more near copies than films": (("checks", "near_test", "flagged"), 50),
    "a leak check of fewer films": (("checks", "near_test", "films"), 4),
    "a leak check of texts": (("checks", "near_test", "p"), "1.0"),
    "weights named": (("files", "model.safetensors"), "0" * 64),
    "a path outside named": (("files", "../../secret"), "0" * 64),
    "a date in words": (("created",), "yesterday"),
    "a date in the future": (("created",), "2999-01-01T00:00:00Z"),
    "an unknown key": (("note",), "hello"),
    "an unknown key in a cell": (("cell", "note"), "hello"),
    "an unknown key in the cost": (("cost", "price"), 1),
    "a list for an object": (("cell",), []),
    "a huge integer": (("cell", "seed"), 10**30),
    "infinity": (("table", 0, "value"), 1e999),
    "not a number": (("table", 0, "value"), float("nan")),
}


def record_field(keys: tuple[str | int, ...], new: Any) -> Damage:
    def change(entry: Path) -> None:
        change_json(cell(entry) / "record.json", setting(keys, new))
        seal(entry)

    return change


for _name, (_keys, _new) in RECORD_FIELDS.items():
    MADE[f"record: {_name}"] = record_field(_keys, _new)


@damage("record: other films for training")
def _(entry: Path) -> None:
    change_json(cell(entry, "real") / "record.json", setting(("train_ids",), "0" * 64))
    seal(entry)


@damage("record: a cost of REAL")
def _(entry: Path) -> None:
    cost = json.loads((cell(entry) / "record.json").read_text())["cost"]
    change_json(cell(entry, "real") / "record.json", setting(("cost",), cost))
    seal(entry)


def required(key: str) -> Damage:
    def change(entry: Path) -> None:
        change_json(cell(entry) / "record.json", lambda record: record.pop(key))
        seal(entry)

    return change


for _key in (
    "schema",
    "key",
    "cell",
    "table",
    "train_ids",
    "test_ids",
    "downstream",
    "environment",
    "files",
    "created",
):
    MADE[f"record: without {_key}"] = required(_key)

IDENTITIES: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "settings": (("cell", "task", "settings", "resolution"), 8),
    "an added setting": (("cell", "task", "settings", "steps"), 10),
    "packages": (("cell", "packages"), {"numpy": "9"}),
    "provider code": (("cell", "provider", "code"), "e" * 64),
    "preset": (("cell", "preset"), "standard"),
    "seed": (("cell", "seed"), 12),
    "device": (("cell", "device"), "cuda"),
    "data": (("cell", "data", "digest"), "9" * 64),
}


def identity(keys: tuple[str | int, ...], new: Any) -> Damage:
    def change(entry: Path) -> None:
        rekey(entry, cell(entry), setting(keys, new))
        seal(entry)

    return change


for _name, (_keys, _new) in IDENTITIES.items():
    MADE[f"a new key for other {_name}"] = identity(_keys, _new)


# ---------------------------------------------------------------------------------------------- fields of the results

RESULTS_FIELDS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "schema": (("schema",), 99),
    "provider": (("provider", "name"), "famous_gan"),
    "label_by": (("provider", "label_by"), "teacher"),
    "task version": (("task", "version"), 3),
    "task code": (("task", "code"), "0" * 64),
    "task settings": (("task", "settings", "resolution"), 512),
    "primary": (("task", "primary"), "iou"),
    "pairing": (("task", "pairing"), "hits"),
    "metric upside down": (("task", "metrics", 0, "higher_is_better"), False),
    "structures": (("task", "structures"), ["left_lung"]),
    "preset": (("preset",), "paper"),
    "data name": (("data", "name"), "jsrt_scr"),
    "data digest": (("data", "digest"), "0" * 64),
    "phantom": (("data", "phantom"), True),
    "number of films": (("data", "n"), 247),
    "resolution": (("data", "resolution"), 1024),
    "pixel size": (("data", "pixel_mm"), 0.1),
    "device": (("device",), "cuda:0"),
    "seeds": (("seeds",), [0, 1]),
    "arms": (("arms",), ["real", "synthetic", "finetune"]),
    "sizes": (("sizes", 0, "films"), 1000),
    "test films": (("sizes", 0, "test_films"), 9),
    "an empty table": (("table",), []),
    "a mean": (("table", 3, "value"), lambda value: value + 0.01),
    "a spread": (("table", 3, "sd"), 0.0001),
    "a count of seeds": (("table", 0, "seeds"), 5),
    "a note": (("table", 0, "note"), "best"),
    "a seed's value": (("seed_values", 0, "value"), lambda value: value + 0.001),
    "a seed": (("seed_values", 0, "seed"), 2),
    "a row less": (("seed_values",), lambda rows: rows[1:]),
    "a p-value": (("paired", 0, "p"), 1e-9),
    "a Holm value": (("paired", 0, "p_holm"), 1e-9),
    "an interval": (("paired", 0, "low"), 0.0),
    "a difference": (("paired", 0, "difference"), 0.3),
    "a test": (("paired", 0, "test"), "sign test"),
    "a number of cases": (("paired", 0, "n"), 800),
    "no tests": (("paired",), []),
    "a claim": (("seed_tests", 0, "sentence"), "my_gan is the best"),
    "a p-value over seeds": (("seed_tests", 0, "p"), 0.001),
    "a number of seeds": (("seed_tests", 0, "seeds"), 5),
    "a cost": (("cost", 0, "fit_seconds"), 1.0),
    "a rate": (("cost", 0, "sample_images_per_second"), 1000.0),
    "no cost": (("cost",), []),
    "a leak finding": (("checks", 0, "sentence"), "no copies at all"),
    "no leak findings": (("checks",), []),
    "a machine": (("environments", 0, "environment", "device"), "H100"),
    "a failed cell": (("cells", 0, "status"), "failed"),
    "an unknown status": (("cells", 0, "status"), "wonderful"),
    "a cell's seed": (("cells", 0, "seed"), 9),
    "a cell's time": (("cells", 0, "seconds"), 0.5),
    "a cell's key": (("cells", 0, "key"), "0" * 64),
    "a key that is a path": (("cells", 0, "key"), "../../../../etc"),
    "a cell twice": (("cells",), lambda cells: [*cells, cells[0]]),
    "a cell less": (("cells",), lambda cells: cells[:-1]),
    "an unknown key": (("winner",), True),
    "HTML": (("command",), ["<img src=x onerror=alert(1)>"]),
    "a fold test": (
        ("fold_tests",),
        [
            {
                "size": "full",
                "arm": "synthetic",
                "metric": "dsc",
                "structure": "heart",
                "n": 3,
                "n_train": 8,
                "n_test": 8,
            }
        ],
    ),
}


def results_field(keys: tuple[str | int, ...], new: Any) -> Damage:
    def change(entry: Path) -> None:
        change_json(results_file(entry), setting(keys, new))
        seal(entry)

    return change


for _name, (_keys, _new) in RESULTS_FIELDS.items():
    MADE[f"results: {_name}"] = results_field(_keys, _new)


# ------------------------------------------------------------------------------------------- predictions and scores

ARRAYS: dict[str, Callable[[dict[str, Any]], None]] = {
    "better labels": lambda a: a["labels"].__setitem__((0, slice(None), slice(0, 2)), 0),
    "one film less": lambda a: a.update(ids=a["ids"][1:], labels=a["labels"][1:]),
    "films in another order": lambda a: a.update(ids=a["ids"][::-1]),
    "a film twice": lambda a: a.update(ids=np.array([a["ids"][0], *a["ids"][:-1]])),
    "training films": lambda a: a.update(ids=np.array([f"case{2 * row:02d}" for row in range(len(a["ids"]))])),
    "no ids": lambda a: a.pop("ids"),
    "no labels": lambda a: a.pop("labels"),
    "labels by another name": lambda a: a.update(masks=a.pop("labels")),
    "labels of another shape": lambda a: a.update(labels=a["labels"][:, :8]),
    "labels as float64": lambda a: a.update(labels=a["labels"].astype(np.float64)),
    "labels as int64": lambda a: a.update(labels=a["labels"].astype(np.int64)),
    "labels as complex": lambda a: a.update(labels=a["labels"].astype(np.complex128)),
    "labels as texts": lambda a: a.update(labels=a["labels"].astype(str)),
    "labels as bytes": lambda a: a.update(labels=a["labels"].astype("S1")),
    "labels as times": lambda a: a.update(labels=a["labels"].astype("M8[s]")),
    "labels as fields": lambda a: a.update(labels=a["labels"].view([("a", "u1")])),
    "labels not finite": lambda a: a.update(labels=np.where(a["labels"] == 2, np.nan, a["labels"])),
    "ids as numbers": lambda a: a.update(ids=np.arange(len(a["ids"]))),
    "ids of HTML": lambda a: a.update(ids=np.array(["<b>x</b>", *a["ids"][1:]])),
    "an empty array": lambda a: a.update(extra=np.zeros((0, 3))),
    "twenty arrays": lambda a: a.update({f"x{row}": np.zeros(1) for row in range(20)}),
    "an array with a path for a name": lambda a: a.update({"../../evil": np.zeros(1)}),
}


def array_damage(change: Callable[[dict[str, Any]], None]) -> Damage:
    def damaged(entry: Path) -> None:
        predictions(entry, change)
        seal(entry)

    return damaged


for _name, _change in ARRAYS.items():
    MADE[f"predictions: {_name}"] = array_damage(_change)


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Damage:
    def change(entry: Path) -> None:
        path = cell(entry) / "predictions.npz"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        name_files(path.parent)
        seal(entry)

    return change


def npy(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def header(text: str) -> bytes:
    body = text.encode().ljust(118 - 10) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


_IDS = npy(np.array(["case01"]))
MADE["predictions: pickled objects"] = npz(
    {"ids.npy": _IDS, "labels.npy": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)}
)
MADE["predictions: an object type without objects"] = npz(
    {"ids.npy": _IDS, "labels.npy": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")}
)
MADE["predictions: a shape of a terabyte"] = npz(
    {"ids.npy": _IDS, "labels.npy": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}")}
)
MADE["predictions: a negative shape"] = npz(
    {"ids.npy": _IDS, "labels.npy": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}") + b"0" * 8}
)
MADE["predictions: a header that is code"] = npz(
    {"ids.npy": _IDS, "labels.npy": header("__import__('os').system('touch never')")}
)
MADE["predictions: a bomb"] = npz(
    {"ids.npy": _IDS, **{f"a{n}.npy": bytes(90 << 20) for n in range(3)}}, zipfile.ZIP_DEFLATED
)
MADE["predictions: packed by LZMA"] = npz({"ids.npy": _IDS, "labels.npy": npy(np.zeros(1))}, zipfile.ZIP_LZMA)
MADE["predictions: a Python file inside"] = npz({"ids.npy": _IDS, "labels.npy": npy(np.zeros(1)), "run.py": b"print()"})
MADE["predictions: a path inside"] = npz({"../../../ids.npy": _IDS, "labels.npy": npy(np.zeros(1))})


@damage("predictions: a pickle")
def _(entry: Path) -> None:
    (cell(entry) / "predictions.npz").write_bytes(b"cos\nsystem\n(S'touch never'\ntR.")
    name_files(cell(entry))
    seal(entry)


@damage("predictions: another seed's")
def _(entry: Path) -> None:
    mine, other = [path for path in sorted((entry / "records").iterdir()) if path != cell(entry, "real")][:2]
    for name in ("predictions.npz", "scores.parquet"):
        (mine / name).write_bytes((other / name).read_bytes())
    table = json.loads((other / "record.json").read_text())["table"]
    change_json(mine / "record.json", setting(("table",), table))
    name_files(mine)
    seal(entry)


SCORES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "better": lambda s: s.assign(value=s["value"] + 0.001),
    "not finite": lambda s: s.assign(value=np.inf),
    "absent": lambda s: s.assign(value=np.nan),
    "one less": lambda s: s[1:],
    "one twice": lambda s: pd.concat([s, s[:1]]),
    "of another case": lambda s: s.assign(case=s["case"].str.replace("case01", "case99")),
    "of another structure": lambda s: s.assign(structure="aorta"),
    "of HTML": lambda s: s.assign(case=s["case"].str.replace("case01", "<b>1</b>")),
    "with another column": lambda s: s.assign(note="x"),
    "without cases": lambda s: s.drop(columns="case"),
}


def score_damage(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    def damaged(entry: Path) -> None:
        scores(entry, change)
        seal(entry)

    return damaged


for _name, _scores in SCORES.items():
    MADE[f"scores: {_name}"] = score_damage(_scores)


@damage("scores: numbers as texts")
def _(entry: Path) -> None:
    path = cell(entry) / "scores.parquet"
    frame = pd.read_parquet(path)
    frame.assign(value=frame["value"].astype(str)).to_parquet(path)
    name_files(path.parent)
    seal(entry)


# --------------------------------------------------------------------------------------------- files, names, texts

FILES = {
    "an archive": "samples.zip",
    "a tar": "records.tar.gz",
    "a pickle": "model.pkl",
    "weights": "model.safetensors",
    "a program": "run.py",
    "a page": "index.html",
    "a picture of another kind": "samples/a.svg",
    "a hidden file": ".hidden",
    "a hidden folder": ".git/config",
    "a folder too deep": "records/a/b/c/d/e.json",
    "a record outside": "record.json",
    "a device of Windows": "samples/con.png",
    "a name with a space": "samples/a b.png",
    "a name of other letters": "samples/\u0430.png",  # a Cyrillic letter that looks like an a
    "a name that turns round": "samples/a\u202egnp.png",
    "a name with a line break": "samples/a\nb.png",
    "a record of no key": "records/mine/record.json",
    "a second README": "readme.md",
    "a file in capitals": "SUBMISSION.TOML",
}


def extra(name: str) -> Damage:
    def change(entry: Path) -> None:
        path = entry / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    return change


for _name, _file in FILES.items():
    MADE[f"files: {_name}"] = extra(_file)


def linked(name: str, target: str, *, folder: bool = False) -> Damage:
    def change(entry: Path) -> None:
        path = entry / name
        path.parent.mkdir(exist_ok=True)
        if path.is_file():
            path.unlink()
        path.symlink_to(target, target_is_directory=folder)

    return change


MADE["files: a link for README"] = linked("README.md", "/etc/hostname")
MADE["files: a link for submission.toml"] = linked("submission.toml", "/dev/zero")
MADE["files: a link to a folder"] = linked("samples", "/etc", folder=True)
MADE["files: a link that leads nowhere"] = linked("samples/a.png", "nowhere")
MADE["files: a link within"] = linked("samples/a.png", "../README.md")


@damage("files: a pipe")
def _(entry: Path) -> None:
    (entry / "samples").mkdir()
    os.mkfifo(entry / "samples" / "a.png")


@damage("files: a hard link")
def _(entry: Path) -> None:
    (entry / "README.md").unlink()
    os.link(entry / "submission.toml", entry / "README.md")


@damage("files: an empty folder")
def _(entry: Path) -> None:
    (entry / "samples").mkdir()


@damage("files: a record of no run")
def _(entry: Path) -> None:
    folder = entry / "records" / ("0" * 64)
    folder.mkdir()
    (folder / "record.json").write_text("{}")
    seal(entry)


@damage("files: deeply nested JSON")
def _(entry: Path) -> None:
    (cell(entry) / "record.json").write_text("[" * 100_000 + "]" * 100_000)
    seal(entry)


@damage("files: nested in an open field")
def _(entry: Path) -> None:
    change_json(cell(entry) / "record.json", setting(("checks",), {"a": json.loads("[" * 40 + "]" * 40)}))
    seal(entry)


@damage("files: huge JSON")
def _(entry: Path) -> None:
    (cell(entry) / "record.json").write_bytes(b'{"a": "' + b"x" * (17 << 20) + b'"}')
    seal(entry)


@damage("files: a key twice")
def _(entry: Path) -> None:
    path = cell(entry) / "record.json"
    path.write_text(path.read_text().replace('"schema":1', '"schema":1,"schema":1'))
    seal(entry)


@damage("files: not UTF-8")
def _(entry: Path) -> None:
    (entry / "README.md").write_bytes(b"\xff\xfe")


@damage("files: HTML in README")
def _(entry: Path) -> None:
    (entry / "README.md").write_text("# hello\n<script src=//evil></script>\n")


@damage("files: a picture that is none")
def _(entry: Path) -> None:
    extra("samples/a.png")(entry)


TOML = {
    "no name": ('name = "my_gan"', ""),
    "another name": ('name = "my_gan"', 'name = "your_gan"'),
    "a name with a path": ('name = "my_gan"', 'name = "../my_gan"'),
    "an unknown key": ("schema = 1", "schema = 1\nrank = 1"),
    "an unknown schema": ("schema = 1", "schema = 2"),
    "a schema as text": ("schema = 1", 'schema = "1"'),
    "no authors": ('authors = ["Noor Ahmadi"]', "authors = []"),
    "authors as text": ('authors = ["Noor Ahmadi"]', 'authors = "Noor Ahmadi"'),
    "HTML in an author": ('authors = ["Noor Ahmadi"]', 'authors = ["<b>Noor</b>"]'),
    "a script in the description": ("A generator of", "<script>alert(1)</script>"),
    "a division of its own": ('"claimed"', '"winner"'),
    "an address of another kind": ("https://example.org/noor/gan", "javascript:alert(1)"),
    "an address with a quote": ("https://example.org/noor/gan", "https://example.org/'onload='x"),
    "no commit": ("0123456789abcdef0123456789abcdef01234567", "main"),
    "an empty licence": ('"Apache-2.0"', '""'),
    "an endless licence": ('"Apache-2.0"', f'"{"x" * 400}"'),
    "not TOML": ("schema = 1", "schema = = 1"),
    "the example's author": ('authors = ["Noor Ahmadi"]', 'authors = ["Ada Example", "Grace Example"]'),
    "a date for a version": ('version = "1.0"', "version = 2026-01-01"),
    "a number that is infinite": ('version = "1.0"', "version = inf"),
    "nested lists": ('version = "1.0"', f"version = {'[' * 90}{']' * 90}"),
    "text that turns round": ("A generator of", "A \\u202e generator of"),
}


def toml(old: str, new: str) -> Damage:
    def change(entry: Path) -> None:
        path = entry / "submission.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


for _name, (_old, _text) in TOML.items():
    MADE[f"submission.toml: {_name}"] = toml(_old, _text)


# ------------------------------------------------------------------------------------------------------- the claim


def test_the_entry_itself_passes(entry, sources):
    assert check_entry(entry, sources=sources).findings[-1].message.startswith("shown without a rank")
    assert check_entry(entry, sources=sources).passed


def test_there_are_at_least_two_hundred_ways():
    assert len(MADE) >= 200


@pytest.mark.parametrize("name", MADE)
def test_a_damaged_entry_is_refused_in_one_line(name, entry, sources):
    MADE[name](entry)
    verdict = check_entry(entry, sources=sources)
    assert not verdict.passed and verdict.status == "refused"
    assert all(re.fullmatch(r"[\x20-\x7e]*", str(finding)) for finding in verdict.findings)


@pytest.mark.parametrize("arm", ["real", "synthetic"])
def test_what_only_looks_changed_passes(arm, entry, sources):
    """The same values written again: the damages above are refused for what they change, not for being touched."""
    folder = cell(entry, arm)
    predictions(entry, lambda arrays: None, arm)
    write_scores(pd.read_parquet(folder / "scores.parquet"), folder / "scores.parquet")
    name_files(folder)
    change_json(folder / "record.json", lambda record: None)
    change_json(results_file(entry), lambda results: None)
    seal(entry)
    verdict = check_entry(entry, sources=sources)
    assert verdict.passed, verdict.findings


def test_nothing_of_an_entry_is_executed(entry, sources, tmp_path):
    """A pickle that would leave a file behind, under every name that somebody might load it by."""
    trace = tmp_path / "trace"
    pickled = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    npz({"ids.npy": _IDS, "labels.npy": b"\x93NUMPY\x01\x00" + pickled})(entry)
    assert not check_entry(entry, sources=sources).passed
    folder = cell(entry)
    for name in ("predictions.npz", "scores.parquet", "record.json"):
        (folder / name).write_bytes(pickled)
        seal(entry)
        assert not check_entry(entry, sources=sources).passed
    assert not trace.exists()
