"""The store can be seen, cleaned and taken elsewhere; nothing goes while a run works, and no archive is trusted."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli.store import app, in_bytes
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs.archive import HEAD, take
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.lock import working
from cxrbench.benchmark.runs.prune import parse_age, parse_size
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import Level, Store

TOYS = Path(__file__).parents[1] / "toys"
CELLS = 10
"""Of a run: two sizes with REAL and two arms, and a placebo of each arm."""


def toy(**values) -> Request:
    return Request(
        provider=f"{TOYS / 'toy_providers.py'}:Toy", task=f"{TOYS / 'toy_task.py'}:ToyTask", device="cpu", **values
    )


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> Path:
    """A home after a run of `CELLS` cells."""
    before, home = os.environ.get("CXRBENCH_HOME"), tmp_path_factory.mktemp("worked")
    os.environ["CXRBENCH_HOME"] = str(home)
    try:
        assert not any(outcome.error for outcome in execute(prepare(toy())))
    finally:
        os.environ.pop("CXRBENCH_HOME") if before is None else os.environ.update(CXRBENCH_HOME=before)
    return home


@pytest.fixture
def store(worked, home, tmp_path, monkeypatch) -> Store:
    """A copy of its store, and the run's folder `runs/one`."""
    shutil.copytree(worked, home, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    found = Store(home / "store")
    cells = [{"key": one.key, "status": "done"} for one in contents(found) if one.kind is Kind.RECORDS]
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "results.json").write_text(json.dumps({"cells": cells}))
    return found


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def counted(store: Store) -> dict[str, int]:
    kinds = [one.kind.value for one in contents(store)]
    return {kind: kinds.count(kind) for kind in kinds}


# -------------------------------------------------------------------------------------------------------------- seen


def test_list_counts_every_byte_and_says_whose_it_is(store):
    said = json.loads(run("list", "--json"))
    entries = said["entries"]
    assert said["bytes"] == sum(one["bytes"] for one in entries)
    files = [path for path in store.root.rglob("*") if path.is_file() and path.name != ".lock"]
    assert said["bytes"] == sum(path.stat().st_size for path in files)
    records = [one for one in entries if one["kind"] == "records"]
    assert len(records) == CELLS and all(one["runs"] == ["runs/one"] for one in records)
    assert all(one["runs"] == ["runs/one"] for one in entries if one["kind"] in ("fits", "synthetic"))
    text = run("list")
    assert "toy v1  Toy        phantom  quick   4" in text and "runs/one" in text
    assert len(run("list", "--entries").splitlines()) == len(entries) + 2


def test_an_empty_store_is_listed(home):
    assert json.loads(run("list", "--json"))["entries"] == []
    assert "0 B" in run("list")


def test_show_names_files_needs_and_damage_and_removes_nothing(store):
    record = next(one for one in contents(store) if one.kind is Kind.RECORDS and one.needs)
    (shown,) = json.loads(run("show", record.key[:12], "--json"))
    assert "record.json" in shown["files"] and shown["needs"] == list(record.needs) and shown["damaged"] == []
    (record.path / "scores.parquet").write_bytes(b"other")
    assert "damaged: scores.parquet" in run("show", record.key)
    assert record.path.is_dir()
    assert len(json.loads(run("show", "runs/one", "--json"))) == CELLS + 4
    with pytest.raises(InputError, match="no entry of the store begins with 000000"):
        run("show", "000000")
    with pytest.raises(InputError, match="expected the folder of a run"):
        run("show", "../x")


# -------------------------------------------------------------------------------------------------------------- cleaned


def test_a_dry_run_removes_nothing_and_names_what_would_go(store):
    before = counted(store)
    said = json.loads(run("prune", "--older", "0", "--dry-run", "--json"))
    assert {one["kind"] for one in said["would_remove"]} == {"fits", "synthetic", "described"}
    assert counted(store) == before
    assert "would free" in run("prune", "--older", "0", "--dry-run")


def test_records_stay_unless_they_are_asked_for(store):
    run("prune", "--older", "0")
    assert counted(store) == {"records": CELLS}
    run("prune", "--older", "0", "--records")
    assert counted(store) == {}


def test_only_what_is_old_enough_goes(store):
    old = next(one for one in contents(store) if one.kind is Kind.FITS)
    os.utime(old.path, (time.time() - 40 * 86400,) * 2)
    run("prune", "--older", "30d")
    assert not old.path.exists() and counted(store) == {"records": CELLS, "synthetic": 2, "fits": 1, "described": 1}


def test_to_a_size_removes_no_more_than_it_must(store):
    found = contents(store)
    total = sum(one.size for one in found)
    fits = sum(one.size for one in found if one.kind is Kind.FITS)
    run("prune", "--to", total - fits + 1, "--kinds", "fits,synthetic")
    assert counted(store)["synthetic"] == 2 and "fits" not in counted(store)
    before = counted(store)
    run("prune", "--to", "1TB")
    assert counted(store) == before


def test_unreachable_is_what_no_record_names_and_what_was_left_behind(store):
    run("prune", "--unreachable")
    assert counted(store) == {"records": CELLS, "synthetic": 2, "fits": 2, "described": 1}
    lone = next(one for one in contents(store) if one.kind is Kind.SYNTHETIC)
    for key in lone.used_by:
        shutil.rmtree(store.path(Level.RECORDS, key))
    (store.root / "records" / "ab" / ".abcd.x").mkdir(parents=True)
    (store.root / "failures").mkdir(exist_ok=True)
    (store.root / "failures" / ".half.json.17").write_text("{")
    (store.root / "progress").mkdir(exist_ok=True)
    (store.root / "progress" / "left.json").write_text("[0, 1]")
    run("prune", "--unreachable")
    assert counted(store) == {"records": CELLS - 2, "synthetic": 2, "fits": 2, "described": 1}, (
        "younger than a week: it may go on"
    )
    run("prune", "--unreachable", "--older", "0")
    assert counted(store) == {"records": CELLS - 2, "synthetic": 1, "fits": 1, "described": 1}


def test_records_that_no_run_names_go_only_where_runs_are_named(store, tmp_path):
    with pytest.raises(InputError, match="name with --runs"):
        run("prune", "--records", "--unreachable")
    with pytest.raises(InputError, match="does not exist"):
        run("prune", "--records", "--unreachable", "--runs", tmp_path / "wrong")
    results = tmp_path / "runs" / "one" / "results.json"
    cells = json.loads(results.read_text())["cells"]
    results.write_text(json.dumps({"cells": cells[:5]}))
    run("prune", "--records", "--unreachable", "--runs", "runs")
    assert counted(store)["records"] == 5 and not store.path(Level.RECORDS, cells[5]["key"]).exists()


def test_nothing_goes_while_a_run_works(store):
    before = counted(store)
    with working(store.root), working(store.root):
        with pytest.raises(InputError, match=r"a run works on .*: wait until it has ended"):
            run("prune", "--older", "0")
        run("prune", "--older", "0", "--dry-run")
    assert counted(store) == before
    running = execute(prepare(toy(seeds=2, arms=("real",))))
    next(running)
    with pytest.raises(InputError, match="a run works on"):
        run("prune", "--older", "0")
    assert not any(outcome.error for outcome in running)
    run("prune", "--older", "0")


def test_after_the_fits_are_gone_a_run_goes_on(store):
    """A finished run has nothing to do; one with another arm makes the fit again, and the same numbers."""
    before = {key: store.record(key).table for key in (one.key for one in contents(store) if one.kind is Kind.RECORDS)}
    run("prune", "--older", "0", "--kinds", "fits")
    assert prepare(toy()).left == []
    more = prepare(toy(arms=("mixed",)))
    assert {step.kind for step in more.left} == {"synthesise", "cell"}
    assert not any(outcome.error for outcome in execute(more))
    assert {key: store.record(key).table for key in before} == before and counted(store)["fits"] == 2


@pytest.mark.parametrize("wrong", [(), ("--older", "soon"), ("--to", "x"), ("--kinds", "fit", "--older", "1")])
def test_a_prune_without_a_clear_wish_is_refused(store, wrong):
    before = counted(store)
    with pytest.raises(InputError):
        run("prune", *wrong)
    assert counted(store) == before


def test_ages_and_sizes_are_read_as_people_write_them():
    assert [parse_age(text) for text in ("1", "2d", "3h", "1.5w")] == [86400, 172800, 10800, 907200]
    assert [parse_size(text) for text in ("7", "1kB", "2 MB", "1.5G", "3GiB")] == [7, 1000, 2e6, 1.5e9, 3e9]
    assert [in_bytes(count) for count in (0, 999, 1200, 45e6, 123e9)] == ["0 B", "999 B", "1.2 kB", "45.0 MB", "123 GB"]


# -------------------------------------------------------------------------------------------------------------- elsewhere


@pytest.fixture
def archive(store, tmp_path) -> Path:
    run("export", "runs/one", "--films", "--fits", "--out", tmp_path / "cells.zip")
    return tmp_path / "cells.zip"


def test_cells_of_a_run_arrive_whole_on_another_machine(store, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "other"))
    other = Store(tmp_path / "other" / "store")
    assert f"{CELLS + 4} new entries" in run("import", archive)
    assert counted(other) == {"records": CELLS, "synthetic": 2, "fits": 2}
    for one in contents(store):
        if one.kind in (Kind.RECORDS, Kind.FITS, Kind.SYNTHETIC):
            assert other.sound(Level(one.kind.value), one.key)
            assert digest.of_folder(other.path(Level(one.kind.value), one.key)) == digest.of_folder(one.path)
    assert prepare(toy()).left == []
    assert f"0 new entries, {CELLS + 4} were here" in run("import", archive)


def test_an_export_takes_what_was_asked_for_and_is_the_same_each_time(store, archive, tmp_path):
    run("export", "runs/one", "--out", tmp_path / "records.zip")
    assert {name.split("/")[0] for name in zipfile.ZipFile(tmp_path / "records.zip").namelist()} == {HEAD, "records"}
    with pytest.raises(InputError, match="--force"):
        run("export", "runs/one", "--out", archive)
    before = archive.read_bytes()
    run("export", "runs/one", "--films", "--fits", "--force", "--out", archive)
    assert archive.read_bytes() == before


def test_damaged_entries_and_pickles_stay_out_of_an_export(store, tmp_path):
    found = contents(store)
    record, fit = (next(one for one in found if one.kind is kind) for kind in (Kind.RECORDS, Kind.FITS))
    (record.path / "scores.parquet").write_bytes(b"other")
    shutil.rmtree(fit.path)
    with store.adding(Level.FITS, fit.key) as draft:
        (draft / "weights.pt").write_bytes(pickle.dumps(1))
    said = json.loads(run("export", "runs/one", "--fits", "--out", tmp_path / "some.zip", "--json"))
    assert len(said["taken"]) == CELLS
    assert any("damaged" in line for line in said["left_out"]) and any(
        "weights.pt" in line for line in said["left_out"]
    )


def test_an_entry_that_is_here_with_other_content_stays(store, archive):
    record = next(one for one in contents(store) if one.kind is Kind.RECORDS)
    content = (record.path / "record.json").read_text().replace('"created": "2', '"created": "3')
    shutil.rmtree(record.path)
    with store.adding(Level.RECORDS, record.key) as draft:
        (draft / "record.json").write_text(content)
    assert json.loads(run("import", archive, "--json"))["other"] == [f"records/{record.key}"]
    assert (record.path / "record.json").read_text() == content


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None], **options: object) -> Path:
    """The archive with other members, its digests mended so that only the change itself is wrong."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    out = archive.with_name("hostile.zip")
    with zipfile.ZipFile(out, "w", **options) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return out


def sealed(members: dict[str, bytes]) -> None:
    """New digests for every entry: made by somebody who knows the format."""
    head = json.loads(members[HEAD])
    for entry in head["entries"]:
        inside = {
            name.removeprefix(f"{entry}/"): content for name, content in members.items() if name.startswith(f"{entry}/")
        }
        inside.pop("entry.json", None)
        files = {name: digest.hashlib.sha256(content).hexdigest() for name, content in sorted(inside.items())}
        head["entries"][entry] = digest.of_json(files)
        members[f"{entry}/entry.json"] = json.dumps({"files": files, "digest": digest.of_json(files)}).encode()
    members[HEAD] = json.dumps(head).encode()


def first(members: dict[str, bytes], ending: str) -> str:
    return next(name for name in members if name.endswith(ending))


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, labels=np.array([{}], dtype=object))
    return buffer.getvalue()


def another_key(members: dict[str, bytes]) -> None:
    name = first(members, "record.json")
    members[name] = members[name].replace(b'"seed": 0', b'"seed": 7')


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a parent path": (lambda m: m.update({"records/../../x.json": b"{}"}), "no file of an entry"),
    "an absolute path": (lambda m: m.update({"/x.json": b"{}"}), "no file of an entry"),
    "a backslash": (lambda m: m.update({f"records/{'a' * 64}/..\\x.json": b"{}"}), "no file of an entry"),
    "a hidden file": (lambda m: m.update({f"records/{'a' * 64}/.x.json": b"{}"}), "no file of an entry"),
    "another place": (lambda m: m.update({"failures/x.json": b"{}"}), "no file of an entry"),
    "a file that nothing names": (
        lambda m: m.update({f"{first(m, 'record.json')[:-11]}x.json": b"{}"}),
        "does not hold",
    ),
    "an entry that the head does not name": (
        lambda m: m.update({f"records/{'a' * 64}/x.json": b"{}"}),
        "other entries",
    ),
    "a changed file": (lambda m: m.update({first(m, "scores.parquet"): b"other"}), "sha256 differs"),
    "a file taken away": (lambda m: m.pop(first(m, "scores.parquet")), "does not hold"),
    "an entry.json of other words": (
        lambda m: m.update({first(m, "entry.json"): b'{"files": 3}'}),
        "no readable entry.json",
    ),
    "no head": (lambda m: m.pop(HEAD), HEAD),
    "a head of a later schema": (lambda m: m.update({HEAD: b'{"schema": 2, "entries": {}}'}), "other entries|schema 2"),
    "a pickle": (
        lambda m: (m.update({f"{first(m, 'record.json')[:-11]}x.pkl": pickle.dumps(1)}), sealed(m)),
        "run code",
    ),
    "a pickle by the name of text": (
        lambda m: (m.update({f"{first(m, 'record.json')[:-11]}x.txt": pickle.dumps(1)}), sealed(m)),
        "not a plain .txt",
    ),
    "an array of objects": (
        lambda m: (m.update({first(m, "predictions.npz"): objects()}), sealed(m)),
        "an array of objects",
    ),
    "a record of another cell": (lambda m: (another_key(m), sealed(m)), "another cell"),
    "films of another digest": (lambda m: (m.update({first(m, "cases.parquet"): b"PAR1"}), sealed(m)), "cases.parquet"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_whole_in_one_line(archive, name, tmp_path):
    change, message = HOSTILE[name]
    hostile, other = rewritten(archive, change), Store(tmp_path / "other")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message) as error:
        take(other, hostile)
    assert "\n" not in str(error.value) and len(str(error.value)) < 700
    assert [path for path in other.root.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "x.json").exists()


def test_links_compressed_members_and_doubles_are_refused(archive, tmp_path):
    other = Store(tmp_path / "other")
    with pytest.raises(InputError, match="compressed"):
        take(other, rewritten(archive, lambda members: None, compression=zipfile.ZIP_DEFLATED))
    link = zipfile.ZipInfo(f"records/{'a' * 64}/record.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "a") as changed:
        changed.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="a link"):
        take(other, archive)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x80\x04K\x01.", os.urandom(3000), None])
def test_what_is_no_archive_is_refused(archive, tmp_path, content):
    path = tmp_path / "no.zip"
    if content is None:  # the second half of one
        path.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    else:
        path.write_bytes(content)
    with pytest.raises(InputError):
        take(Store(tmp_path / "other"), path)
    with pytest.raises(InputError, match="does not exist"):
        take(Store(tmp_path / "other"), tmp_path / "none.zip")


def test_a_full_disk_leaves_no_half_archive_and_no_half_import(store, archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    other = Store(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr("cxrbench.benchmark.runs.archive._copied", full)
        with pytest.raises(InputError, match=r"cannot write below .*No space left"):
            take(other, archive)
        patched.setattr(shutil, "copyfileobj", full)
        with pytest.raises(InputError, match=r"cannot write .*more\.zip: No space left"):
            run("export", "runs/one", "--out", tmp_path / "more.zip")
    assert list(other.root.iterdir()) == [] and list(tmp_path.glob("*more.zip*")) == []
    assert len(take(other, archive).new) == CELLS + 4
