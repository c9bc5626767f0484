"""The store keeps whole entries, notices damage, and never takes a failure for a result."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.errors import InputError, StoreError
from cxrbench.benchmark.files import write_text
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.record import Failure
from cxrbench.benchmark.runs.store import Level, Store

KEY = "ab" * 32


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, content: str = "good") -> None:
    with store.adding(Level.RECORDS, KEY) as draft:
        (draft / "scores.txt").write_text(content)


def test_an_entry_is_sound_after_it_was_added(store):
    assert not store.sound(Level.RECORDS, KEY)
    put(store)
    assert store.sound(Level.RECORDS, KEY)
    assert not store.sound(Level.FITS, KEY)


@pytest.mark.parametrize("damage", ["change", "remove", "entry", "empty_entry"])
def test_a_damaged_entry_is_noticed_and_removed(store, damage):
    put(store)
    folder = store.path(Level.RECORDS, KEY)
    if damage == "change":
        (folder / "scores.txt").write_text("goof")
    elif damage == "remove":
        (folder / "scores.txt").unlink()
    elif damage == "entry":
        (folder / "entry.json").write_text('{"files": {}, "digest": ""}')
    else:
        (folder / "entry.json").write_bytes(b"")
    assert not store.sound(Level.RECORDS, KEY)
    assert not folder.exists()
    put(store)
    assert store.sound(Level.RECORDS, KEY)


def test_a_draft_that_fails_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.adding(Level.FITS, KEY) as draft:
        (draft / "half.txt").write_text("half")
        raise RuntimeError("killed")
    parent = store.path(Level.FITS, KEY).parent
    assert list(parent.iterdir()) == []


def test_the_second_of_two_equal_entries_changes_nothing(store):
    put(store)
    put(store)
    assert store.sound(Level.RECORDS, KEY)


def test_a_failure_is_kept_until_the_step_succeeds(store):
    store.fail(Failure(key=KEY, step="real full", message="no luck", created="2026-01-01T00:00:00Z"))
    failure = store.failure(KEY)
    assert failure is not None and failure.message == "no luck"
    assert not store.sound(Level.RECORDS, KEY)
    put(store)
    assert store.failure(KEY) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a valid Record"),
        ("not json", "not a valid Record"),
        (None, "is missing"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(store, text, message):
    folder = store.path(Level.RECORDS, KEY)
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "record.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        store.record(KEY)


def test_a_disk_that_cannot_be_read_for_a_moment_costs_no_result(store, monkeypatch):
    put(store)

    def fails(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(digest, "of_file", fails)
        with pytest.raises(StoreError, match=r"cannot read .*: Input/output error"):
            store.sound(Level.RECORDS, KEY)
    assert store.sound(Level.RECORDS, KEY)


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path, monkeypatch):
    def fails(self, target):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(InputError, match="Disk quota exceeded"):
        write_text(tmp_path / "kept.json", "{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", [Level.FITS, Level.RECORDS])
def test_what_a_training_keeps_is_asked_for_until_its_result_is_there(store, level):
    state = store.checkpoints(KEY)
    state.mkdir(parents=True)
    (state / "a.safetensors").write_bytes(b"state")
    (kept,) = [entry for entry in contents(store) if entry.kind is Kind.CHECKPOINTS]
    assert kept.reachable
    with store.adding(level, KEY) as draft:
        (draft / "made.txt").write_text("made")
    (kept,) = [entry for entry in contents(store) if entry.kind is Kind.CHECKPOINTS]
    assert not kept.reachable
