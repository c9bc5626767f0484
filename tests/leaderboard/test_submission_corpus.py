"""A valid entry damaged in more than 200 ways, some by somebody who knows the format: none is accepted, none crashes."""

from __future__ import annotations

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

from cxrbench.benchmark.runs.plan import key_of
from cxrbench.benchmark.runs.record import Record
from cxrbench.leaderboard.cells import PREDICTIONS, RECORDS, SCORES
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.pack import seal

from . import taken_apart as apart
from .taken_apart import change_arrays, change_record, change_scores, first, npy, records, run_folder, write_records

Damage = Callable[[Path], None]
FLIPS = 8
PLACEBO = "placebo_synthetic"
MADE: dict[str, Damage] = {}


def damage(name: str) -> Callable[[Damage], Damage]:
    def add(function: Damage) -> Damage:
        MADE[name] = function
        return function

    return add


# ------------------------------------------------------------------------------------------------ reaching the parts


def results_file(entry: Path) -> Path:
    return run_folder(entry) / "results.json"


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def rekey(entry: Path, change: Callable[[Any], None]) -> None:
    """Change what a cell says it is and give it the key that follows, everywhere."""
    folder, row = run_folder(entry), first(run_folder(entry))
    whole, scores = records(folder), apart.scores(folder)
    change(whole[row])
    old = whole[row]["key"]
    new = key_of(Record.model_validate_json(json.dumps(whole[row])).cell)
    whole[row]["key"] = new
    write_records(folder, whole)
    apart.write_scores(folder, {new if key == old else key: frame for key, frame in scores.items()})
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


# ------------------------------------------------------------------------------- bytes that changed after packing

SEALED = ("results.json", RECORDS, PREDICTIONS, SCORES)


def flip(part: str, number: int) -> Damage:
    def change(entry: Path) -> None:
        path = run_folder(entry) / part
        raw = bytearray(path.read_bytes())
        raw[(number * 7919 + 13) % len(raw)] ^= 1 << number % 8
        path.write_bytes(raw)

    return change


def cut(part: str, share: float) -> Damage:
    def change(entry: Path) -> None:
        path = run_folder(entry) / part
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        seal(entry)

    return change


for _part in SEALED:
    for _number in range(FLIPS):
        MADE[f"one bit of {_part} ({_number})"] = flip(_part, _number)
    for _share in (0.0, 0.3, 0.9, 0.99):
        MADE[f"{_part} cut at {_share}"] = cut(_part, _share)
    MADE[f"no {_part}"] = lambda entry, part=_part: ((run_folder(entry) / part).unlink(), seal(entry))


@damage("a record without its predictions")
def _(entry: Path) -> None:
    folder = run_folder(entry)
    labels = records(folder)[first(folder)]["files"][f"{PREDICTIONS}/labels"]
    there = apart.members(folder)
    there.pop(f"{labels}.npy")
    apart.write_members(folder, there)
    seal(entry)


@damage("a record that names no predictions")
def _(entry: Path) -> None:
    found = apart.arrays(run_folder(entry))
    found[first(run_folder(entry))] = {}
    apart.write_arrays(run_folder(entry), found)
    seal(entry)


@damage("a cell taken away")
def _(entry: Path) -> None:
    folder = run_folder(entry)
    scores, arrays, whole = apart.scores(folder), apart.arrays(folder), records(folder)
    row = first(folder)
    scores.pop(whole.pop(row)["key"])
    arrays.pop(row)
    write_records(folder, whole)
    apart.write_arrays(folder, arrays)
    apart.write_scores(folder, scores)
    seal(entry)


@damage("a line of the records taken away")
def _(entry: Path) -> None:
    write_records(run_folder(entry), records(run_folder(entry))[1:])
    seal(entry)


@damage("a cell twice")
def _(entry: Path) -> None:
    write_records(run_folder(entry), [*records(run_folder(entry)), records(run_folder(entry))[0]])
    seal(entry)


@damage("cells in another order")
def _(entry: Path) -> None:
    write_records(run_folder(entry), records(run_folder(entry))[::-1])
    seal(entry)


@damage("an empty line among the records")
def _(entry: Path) -> None:
    path = run_folder(entry) / RECORDS
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    seal(entry)


@damage("two records on a line")
def _(entry: Path) -> None:
    path = run_folder(entry) / RECORDS
    path.write_text(path.read_text().replace("\n", " ", 1))
    seal(entry)


@damage("a file without a digest")
def _(entry: Path) -> None:
    change_json(entry / "digests.json", lambda value: value["files"].pop(sorted(value["files"])[0]))


@damage("a digest without a file")
def _(entry: Path) -> None:
    change_json(entry / "digests.json", lambda value: value["files"].update({"runs/nothing": "0" * 64}))


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
    "seeds of another name": (("cell", "provider", "entry"), "another"),
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
    "an array of a path": (("files", "predictions.npz/../../secret"), "0" * 64),
    "an array that is not there": (("files", "predictions.npz/more"), "0" * 64),
    "another array": (("files", "predictions.npz/labels"), "0" * 64),
    "an array by a path": (("files", "predictions.npz/labels"), "../../../etc/passwd"),
    "ids for labels": (("files",), lambda files: files | {"predictions.npz/labels": files["predictions.npz/ids"]}),
    "other case scores": (("files", "scores.parquet"), "0" * 64),
    "no case scores": (("files",), lambda files: {k: v for k, v in files.items() if k != "scores.parquet"}),
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
        change_record(run_folder(entry), setting(keys, new))
        seal(entry)

    return change


for _name, (_keys, _new) in RECORD_FIELDS.items():
    MADE[f"record: {_name}"] = record_field(_keys, _new)


@damage("record: other films for training")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("train_ids",), "0" * 64), "real")
    seal(entry)


@damage("placebo: other films for training")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("train_ids",), "0" * 64), PLACEBO)
    seal(entry)


@damage("placebo: the films of REAL for training")
def _(entry: Path) -> None:
    whole = records(run_folder(entry))
    ids = whole[first(run_folder(entry), "real")]["train_ids"]
    change_record(run_folder(entry), setting(("train_ids",), ids), PLACEBO)
    seal(entry)


@damage("placebo: a number of its own")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("table", 2, "value"), lambda value: value - 0.01), PLACEBO)
    seal(entry)


@damage("placebo: worse predictions")
def _(entry: Path) -> None:
    change_arrays(run_folder(entry), lambda a: a.update(labels=np.roll(a["labels"], 1, axis=1)), PLACEBO)
    seal(entry)


PLACEBO_FIELDS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "a provider": (("cell", "provider"), {"name": "a", "spec": "a", "code": "a", "settings": {}, "label_by": "native"}),
    "no placebo": (("cell", "placebo"), False),
    "another number of copies": (("downstream", "synthetic_films"), 20),
    "another number of copies in its name": (("cell", "synthetic"), 20),
    "more real films": (("downstream", "real_films"), 16),
    "fewer real films": (("downstream", "real_films"), 4),
    "no real films": (("downstream", "real_films"), None),
    "a fit": (("fit_key",), "0" * 64),
    "synthetic films": (("synthetic_key",), "0" * 64),
    "checks of films": (("checks",), {"near_test": {"films": 10, "flagged": 0, "p": 1.0, "copies": 0}}),
}


def placebo_field(keys: tuple[str | int, ...], new: Any) -> Damage:
    def change(entry: Path) -> None:
        change_record(run_folder(entry), setting(keys, new), PLACEBO)
        seal(entry)

    return change


for _name, (_keys, _new) in PLACEBO_FIELDS.items():
    MADE[f"placebo: {_name}"] = placebo_field(_keys, _new)


@damage("placebo: a cost")
def _(entry: Path) -> None:
    cost = records(run_folder(entry))[first(run_folder(entry))]["cost"]
    change_record(run_folder(entry), setting(("cost",), cost), PLACEBO)
    seal(entry)


@damage("real films: of a synthetic cell")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("downstream", "real_films"), 8))
    seal(entry)


@damage("real films: more of REAL")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("downstream", "real_films"), 16), "real")
    seal(entry)


@damage("record: a cost of REAL")
def _(entry: Path) -> None:
    cost = records(run_folder(entry))[first(run_folder(entry))]["cost"]
    change_record(run_folder(entry), setting(("cost",), cost), "real")
    seal(entry)


def required(key: str) -> Damage:
    def change(entry: Path) -> None:
        change_record(run_folder(entry), lambda record: record.pop(key))
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
        rekey(entry, setting(keys, new))
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
    "a gain": (("gains", 0, "gain"), 0.05),
    "a gain's interval": (("gains", 0, "low"), 0.01),
    "a gain's sentence": (("gains", 0, "sentence"), "adds more than copying does"),
    "a verdict": (("gains", 0, "verdict"), "adds more than copying does"),
    "a placebo's score": (("gains", 0, "placebo"), 0.5),
    "no gains": (("gains",), []),
    "a worth without a curve": (
        ("worths",),
        [
            {
                "size": "full",
                "arm": "synthetic",
                "real": 8.0,
                "synthetic": 10,
                "seeds": 3,
                "identified": True,
                "films": 100.0,
                "sentence": "alone they are worth 100 real films",
            }
        ],
    ),
    "a test against copies": (("paired_placebo", 0, "p"), 1e-9),
    "no tests against copies": (("paired_placebo",), []),
    "another headline": (("task", "headline", "size"), "tiny"),
    "no headline": (("task", "headline"), None),
    "a placebo's arm": (("cells", 2, "arm"), "placebo_real"),
    "an arm for a placebo": (("cells", 2, "arm"), "synthetic_20"),
    "placebos among the arms": (("arms",), ["real", "synthetic", "placebo_synthetic"]),
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
        change_arrays(run_folder(entry), change)
        seal(entry)

    return damaged


for _name, _change in ARRAYS.items():
    MADE[f"predictions: {_name}"] = array_damage(_change)


def raw_arrays(found: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Damage:
    """The arrays of a cell as any bytes, called by their sha256 and named by the record."""

    def change(entry: Path) -> None:
        whole = apart.arrays(run_folder(entry))
        whole[first(run_folder(entry))] = found
        apart.write_arrays(run_folder(entry), whole, method)
        seal(entry)

    return change


def more_members(more: dict[str, bytes]) -> Damage:
    """Members that no record names."""

    def change(entry: Path) -> None:
        apart.write_members(run_folder(entry), apart.members(run_folder(entry)) | more)
        seal(entry)

    return change


def header(text: str) -> bytes:
    body = text.encode().ljust(118 - 10) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


_IDS = npy(np.array(["case01"]))
RAW: dict[str, bytes] = {
    "pickled objects": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "an object type without objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "a shape of a terabyte": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"),
    "a negative shape": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}") + b"0" * 8,
    "a header that is code": header("__import__('os').system('touch never')"),
    "no array": b"print()",
}
for _name, _raw in RAW.items():
    MADE[f"predictions: {_name}"] = raw_arrays({"ids": _IDS, "labels": _raw})


@damage("predictions: a bomb")
def _(entry: Path) -> None:
    zeros = {f"a{number}": bytes((90 << 20) + number) for number in range(3)}
    raw_arrays({"ids": _IDS, **zeros}, zipfile.ZIP_DEFLATED)(entry)


MADE["predictions: packed by LZMA"] = raw_arrays({"ids": _IDS, "labels": npy(np.zeros(1))}, zipfile.ZIP_LZMA)
MADE["predictions: an array of nobody"] = more_members({f"{'0' * 64}.npy": npy(np.zeros(1))})
MADE["predictions: a Python file inside"] = more_members({"run.py": b"print()"})
MADE["predictions: a path inside"] = more_members({"../../../ids.npy": _IDS})
MADE["predictions: an array by its name"] = more_members({"ids.npy": _IDS})


@damage("predictions: an array under the sha256 of another")
def _(entry: Path) -> None:
    there = apart.members(run_folder(entry))
    one, other, *_ = (name for name, raw in there.items() if b"<U" not in raw[:80])
    apart.write_members(run_folder(entry), there | {one: there[other]})
    seal(entry)


@damage("predictions: a pickle")
def _(entry: Path) -> None:
    (run_folder(entry) / PREDICTIONS).write_bytes(b"cos\nsystem\n(S'touch never'\ntR.")
    seal(entry)


@damage("predictions: another seed's")
def _(entry: Path) -> None:
    folder = run_folder(entry)
    mine, other = (first(folder, number=number) for number in (0, 1))
    arrays, scores, whole = apart.arrays(folder), apart.scores(folder), records(folder)
    arrays[mine] = arrays[other]
    whole[mine]["table"] = whole[other]["table"]
    write_records(folder, whole)
    apart.write_arrays(folder, arrays)
    apart.write_scores(folder, scores | {whole[mine]["key"]: scores[whole[other]["key"]]})
    seal(entry)


CASES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "better": lambda s: s.assign(value=s["value"] + 0.001),
    "not finite": lambda s: s.assign(value=np.inf),
    "absent": lambda s: s.assign(value=np.nan),
    "one less": lambda s: s[1:],
    "one twice": lambda s: pd.concat([s, s[:1]]),
    "of another case": lambda s: s.assign(case=s["case"].str.replace("case01", "case99")),
    "of another structure": lambda s: s.assign(structure="aorta"),
    "of HTML": lambda s: s.assign(case=s["case"].str.replace("case01", "<b>1</b>")),
}


def score_damage(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    def damaged(entry: Path) -> None:
        change_scores(run_folder(entry), change)
        seal(entry)

    return damaged


for _name, _scores in CASES.items():
    MADE[f"scores: {_name}"] = score_damage(_scores)


def table_damage(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    """The whole table as pandas writes it: one row group."""

    def damaged(entry: Path) -> None:
        path = run_folder(entry) / SCORES
        change(pd.read_parquet(path)).to_parquet(path)
        seal(entry)

    return damaged


TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "numbers as texts": lambda s: s.assign(value=s["value"].astype(str)),
    "keys as numbers": lambda s: s.assign(key=range(len(s))),
    "with another column": lambda s: s.assign(note="x"),
    "without cases": lambda s: s.drop(columns="case"),
    "without keys": lambda s: s.drop(columns="key"),
    "all cells in one row group": lambda s: s,
}
for _name, _table in TABLES.items():
    MADE[f"scores: {_name}"] = table_damage(_table)


@damage("scores: of a cell that is none")
def _(entry: Path) -> None:
    found = apart.scores(run_folder(entry))
    apart.write_scores(run_folder(entry), found | {"0" * 64: next(iter(found.values()))})
    seal(entry)


@damage("scores: of another cell under its key")
def _(entry: Path) -> None:
    folder = run_folder(entry)
    found, whole = apart.scores(folder), records(folder)
    one, other = (whole[first(folder, number=number)]["key"] for number in (0, 1))
    apart.write_scores(folder, found | {one: found[other]})
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
    "a folder too deep": "runs/a/b/c/d/e.json",
    "a record outside": "record.json",
    "records outside": "records.jsonl",
    "a run without results": "runs/mine/records.jsonl",
    "a run in capitals": "runs/MINE/results.json",
    "more beside a run": "runs/squares-tiny_films-quick/notes.json",
    "results of schema 1": "results/mine.json",
    "a record of schema 1": f"records/{'0' * 64}/record.json",
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
    whole = records(run_folder(entry))
    write_records(run_folder(entry), [*whole, whole[-1] | {"key": "0" * 64}])
    seal(entry)


@damage("files: the form of schema 1")
def _(entry: Path) -> None:
    apart.as_schema_1(entry)


@damage("files: deeply nested JSON")
def _(entry: Path) -> None:
    (run_folder(entry) / RECORDS).write_text("[" * 100_000 + "]" * 100_000 + "\n")
    seal(entry)


@damage("files: nested in an open field")
def _(entry: Path) -> None:
    change_record(run_folder(entry), setting(("checks",), {"a": json.loads("[" * 40 + "]" * 40)}))
    seal(entry)


@damage("files: huge JSON")
def _(entry: Path) -> None:
    (run_folder(entry) / RECORDS).write_bytes(b'{"a": "' + b"x" * (17 << 20) + b'"}\n')
    seal(entry)


@damage("files: a key twice")
def _(entry: Path) -> None:
    path = run_folder(entry) / RECORDS
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
    "an unknown key": ("schema = 2", "schema = 2\nrank = 1"),
    "an unknown schema": ("schema = 2", "schema = 3"),
    "an old schema": ("schema = 2", "schema = 1"),
    "a schema as text": ("schema = 2", 'schema = "2"'),
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
    "not TOML": ("schema = 2", "schema = = 2"),
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
    verdict = check_entry(entry, sources=sources)
    assert verdict.passed and any(one.message.startswith("shown without a rank") for one in verdict.findings)


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
    folder = run_folder(entry)
    change_arrays(folder, lambda arrays: None, arm)
    change_scores(folder, lambda scores: scores, arm)
    change_record(folder, lambda record: None, arm)
    change_json(results_file(entry), lambda results: None)
    seal(entry)
    verdict = check_entry(entry, sources=sources)
    assert verdict.passed, verdict.findings


def test_nothing_of_an_entry_is_executed(entry, sources, tmp_path):
    """A pickle that would leave a file behind, under every name that somebody might load it by."""
    trace = tmp_path / "trace"
    pickled = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    raw_arrays({"ids": _IDS, "labels": b"\x93NUMPY\x01\x00" + pickled})(entry)
    assert not check_entry(entry, sources=sources).passed
    for name in SEALED:
        (run_folder(entry) / name).write_bytes(pickled)
        seal(entry)
        assert not check_entry(entry, sources=sources).passed
    assert not trace.exists()
