"""Among many entries each is read once, and next to none is parsed to know that it shares nothing; what predictions may
take follows from their cells. Counts, not times: `tests/benchmarks/bench_leaderboard.py` has these."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrbench.leaderboard import guard, kept, read_before
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.cells import Cells
from cxrbench.leaderboard.checks import check_entry, duplicates, justified
from cxrbench.leaderboard.checks.subject import Subject
from cxrbench.leaderboard.cli import submission
from cxrbench.leaderboard.cli.submission import check
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.handed_over import from_line, to_line
from cxrbench.leaderboard.marks import Index, marks_of, may_share
from cxrbench.leaderboard.pack import seal

from . import made_up
from . import taken_apart as apart


def lines(verdict) -> str:
    return "\n".join(map(str, verdict.findings))


# ---------------------------------------------------------------------------------------------------- read once


@pytest.fixture
def reading(monkeypatch, tmp_path):
    """Read the entries of a folder as the process apart does: the attempts, and the names of those that were parsed."""

    def read(root: Path):
        parsed = []
        monkeypatch.setattr(guard, "load_entry", lambda folder: parsed.append(folder.name) or load_entry(folder))
        monkeypatch.setattr(guard, "allow_processor", lambda seconds: None)
        answer = tmp_path / "read.jsonl"
        answer.unlink(missing_ok=True)
        folders = guard.entry_folders(root)
        guard._load(answer, 10.0, folders)
        said = answer.read_bytes().splitlines(keepends=True)
        return [guard._outcome(line, folder) for line, folder in zip(said, folders, strict=True)], parsed

    return read


def test_what_is_handed_over_is_the_same(packed, tmp_path):
    entry = load_entry(packed)
    assert from_line(to_line(from_entry(entry), packed), packed) == from_entry(entry)
    picture = tmp_path / "entry" / "samples" / "one.png"
    entrant = made_up.Entrant(name="a", division=made_up.Division.CLAIMED, authors=("é", "<b>"), samples=(picture,))
    key = made_up.BoardKey("a task that nobody has", 1, "phantom", "quick", "0" * 64, "1" * 64)
    made = [
        made_up.attempt(
            "a", 0.01, key=key, entrant=entrant, label_by="teacher", missing={("31", "official", "mixed", 2)}
        ),
        made_up.attempt("a", np.pi / 100, key=key, entrant=entrant, headline=None, placebos=False),
    ]
    assert from_line(to_line(made, tmp_path / "entry"), tmp_path / "entry") == made
    (elsewhere,) = {one.entrant.samples for one in from_line(to_line(made, tmp_path / "entry"), tmp_path / "b")}
    assert elsewhere == (tmp_path / "b" / "samples" / "one.png",)
    assert from_line(to_line([], tmp_path), tmp_path) == []
    for line in ("[]", "{}", '{"attempts": [{}], "entrant": {"samples": []}}', "", "nothing"):
        with pytest.raises(ValueError):
            from_line(line, tmp_path)


def test_an_entry_is_parsed_once_until_a_byte_of_it_is_another(pack_system, reading):
    for name in ("a", "b"):
        folder = pack_system(name, draw=ord(name), share=name == "a")
    root = folder.parent
    first, parsed = reading(root)
    assert parsed == ["a", "b"] and [one[0].entrant.name for one in first] == parsed
    assert reading(root) == (first, [])
    path = folder / "submission.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('version = "', 'version = "9'), encoding="utf-8")
    second, parsed = reading(root)
    assert parsed == ["b"] and second[1][0].entrant.version.startswith("9") and second[0] == first[0]
    (records,) = (root / "shared").glob("*/records.jsonl")
    records.write_text(records.read_text(encoding="utf-8").rpartition('"created"')[0] + "\n", encoding="utf-8")
    third, parsed = reading(root)
    assert parsed == ["a", "b"] and "records.jsonl" in third[0]
    assert "a" in reading(root)[1]  # what cannot be read is not kept


def test_a_link_among_the_files_is_seen_though_the_entry_was_read_before(packed, reading, tmp_path):
    root = tmp_path / "entries"
    shutil.copytree(packed, root / "my_gan")
    reading(root)
    path = root / "my_gan" / "submission.toml"
    path.rename(tmp_path / "elsewhere.toml")
    path.symlink_to(tmp_path / "elsewhere.toml")
    (said,), parsed = reading(root)
    assert "symbolic link" in said and parsed == []


@pytest.mark.parametrize("damage", [b"", b"0" * 64 + b"\n{}", None])
def test_a_damaged_line_is_not_taken_and_other_code_has_other_keys(packed, reading, monkeypatch, damage):
    first, parsed = reading(packed.parent)
    assert parsed == ["my_gan"]
    (path,) = (one for one in kept.folder(read_before.KIND).rglob("*") if one.is_file())
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    assert reading(packed.parent) == (first, ["my_gan"])
    assert reading(packed.parent) == (first, [])
    monkeypatch.setattr(read_before, "_code", lambda: "another version")
    assert reading(packed.parent) == (first, ["my_gan"])


# ------------------------------------------------------------------------------------------------- held against each other


def parsed_others(folder: Path, monkeypatch) -> tuple[list[str], str]:
    """The entries beside one that its check for copies parses, and what it says."""
    found = []
    monkeypatch.setattr(duplicates, "load_entry", lambda path: found.append(path.name) or load_entry(path))
    said = list(duplicates._elsewhere(load_entry(folder)))
    return found, "\n".join(map(str, said))


def test_entries_that_share_nothing_are_not_parsed(pack_system, monkeypatch):
    for name in ("a", "b", "c"):
        folder = pack_system(name, draw=ord(name))
    assert parsed_others(folder, monkeypatch) == ([], "")


def escaped(text: str, what: str) -> str:
    return re.sub(rf'"{what}', lambda found: f'"\\u{ord(what[0]):04x}{found[0][2:]}', text)


@pytest.mark.parametrize("hidden", [False, True])
def test_copies_are_found_however_they_are_written(pack_system, monkeypatch, hidden):
    theirs, mine = pack_system("theirs", draw=1), pack_system("mine", draw=2)
    key = next(iter(duplicates._own(load_entry(theirs))))
    for name in ("records.jsonl", "results.json"):
        path = apart.run_folder(mine) / name
        text = (apart.run_folder(theirs) / name).read_text(encoding="utf-8")
        path.write_text(escaped(text, key) if hidden else text, encoding="utf-8")
    parsed, words = parsed_others(mine, monkeypatch)
    assert parsed == ["theirs"] and "of its cells are those of the entry theirs" in words
    parsed, words = parsed_others(theirs, monkeypatch)
    assert parsed == ["mine"] and "of its cells are those of the entry mine" in words


def test_numbers_alone_are_found_in_any_notation(pack_system, monkeypatch):
    theirs, mine = pack_system("theirs", draw=1), pack_system("mine", draw=2)
    source = json.loads((apart.run_folder(theirs) / "results.json").read_text(encoding="utf-8"))
    path = apart.run_folder(mine) / "results.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["seed_values"] = source["seed_values"]
    text = re.sub(
        r'"value":0\.(\d{6,})',
        lambda found: f'"value":{int(found[1])}E-{len(found[1])}',
        json.dumps(said, separators=(",", ":")),
    )
    assert "E-" in text
    path.write_text(text, encoding="utf-8")
    for one, other in ((mine, "theirs"), (theirs, "mine")):
        parsed, words = parsed_others(one, monkeypatch)
        assert parsed == [other] and f"its numbers are those of the entry {other}, seed by seed" in words


@pytest.mark.parametrize("odd", ["no JSON", "[1, 2]", '{"seed_values": 3}', "\udcff"])
def test_what_is_odd_is_not_ruled_out(packed, tmp_path, odd):
    other = shutil.copytree(packed, tmp_path / "other")
    marks = marks_of(load_entry(packed))
    marks = replace(marks, cells=frozenset(), predictions=frozenset())
    digest = next(iter(marks.films)).decode()
    (apart.run_folder(other) / "results.json").write_bytes(f'"{digest}"{odd}'.encode("utf-8", "surrogateescape"))
    assert may_share(marks, other)


# --------------------------------------------------------------------------------------------- what predictions may take


def test_predictions_of_more_than_the_test_films_are_refused_before_they_are_unpacked(entry, sources, monkeypatch):
    assert "unpacks to" not in lines(check_entry(entry, sources=sources))
    read = []
    real = Cells.predictions
    monkeypatch.setattr(Cells, "predictions", lambda self, key: read.append(key) or real(self, key))
    apart.change_arrays(apart.run_folder(entry), lambda found: found.update(more=np.zeros(2 << 20, np.uint8)))
    read.clear()
    seal(entry)
    said = lines(check_entry(entry, sources=sources))
    assert "predictions.npz unpacks to 2.0 MiB" in said and "at 16 pixels, have no more than" in said and read == []


def test_films_are_counted_where_a_run_says_that_they_are_many(entry, sources, monkeypatch):
    subject = Subject(load_entry(entry), sources)
    (run,) = subject.entry.runs
    (home,) = {home.folder: home for home in run.homes.values()}.values()
    many = {
        key: record.model_copy(update={"downstream": record.downstream.model_copy(update={"test_films": 10**6})})
        for key, record in home.records.items()
    }
    claimed = Cells(home.folder, many)
    monkeypatch.setattr(Cells, "unpacked", lambda self, keys: justified.MODEST)
    assert justified.unjustified(subject, run, claimed) == ""
    monkeypatch.setattr(Cells, "unpacked", lambda self, keys: justified.MODEST + 1)
    assert "cells of 144 test films in all" in justified.unjustified(subject, run, claimed)  # 16 films, 9 cells


def test_large_predictions_are_given_the_time_that_they_take(packed, monkeypatch):
    entry = load_entry(packed)
    assert guard.seconds_for(entry) < 1
    monkeypatch.setattr(Cells, "unpacked", lambda self, keys: 960 << 20)
    assert guard.seconds_for(entry) == 960 * guard.SECONDS_A_MEBIBYTE
    monkeypatch.setattr(Cells, "unpacked", lambda self, keys: 1 << 50)
    assert guard.seconds_for(entry) == guard.LONGEST


# ------------------------------------------------------------------------------------------- a whole folder, looked at once


def indexed(root: Path) -> tuple[Index, Path]:
    """An index of the entries of a folder, as a process of its own makes it."""
    answer = root.parent / "marks.jsonl"
    answer.unlink(missing_ok=True)
    folders = guard.entry_folders(root)
    guard._mark(answer, 1e6, folders)
    index = Index(root.parent / "marks.db")
    index.path.unlink(missing_ok=True)
    index.write(zip((folder.name for folder in folders), answer.read_bytes().splitlines(), strict=True))
    return index, answer


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("what", ["nothing", "cells", "numbers"])
def test_an_index_finds_what_looking_through_the_others_finds(pack_system, monkeypatch, what, hidden):
    monkeypatch.setattr(guard, "allow_processor", lambda seconds: None)
    theirs, mine, other = (pack_system(name, draw=draw) for draw, name in enumerate(("theirs", "mine", "other")))
    key = next(iter(duplicates._own(load_entry(theirs))))
    names = {"nothing": (), "cells": ("records.jsonl", "results.json"), "numbers": ("results.json",)}[what]
    for name in names:
        path = apart.run_folder(mine) / name
        text = (apart.run_folder(theirs) / name).read_text(encoding="utf-8")
        path.write_text(escaped(text, key) if hidden else text, encoding="utf-8")
    index, _ = indexed(mine.parent)
    for folder in (theirs, mine, other):
        entry = load_entry(folder) if what != "numbers" or folder != mine else None
        if entry is None:
            continue
        looked, asked = (list(map(str, duplicates._elsewhere(entry, one))) for one in (None, index))
        assert looked == asked
        assert bool(looked) == (what == "cells" and folder != other)
        rivals = {path.name for path in (theirs, mine, other) if path != folder and may_share(marks_of(entry), path)}
        assert rivals <= index.may_share(marks_of(entry)) - {folder.name}
        if what != "nothing" and folder == theirs:
            assert rivals == {"mine"}


def test_an_index_parses_none_of_the_others_and_a_damaged_one_is_held_against_all(pack_system, monkeypatch):
    monkeypatch.setattr(guard, "allow_processor", lambda seconds: None)
    folders = [pack_system(name, draw=ord(name)) for name in ("a", "b", "c")]
    index, answer = indexed(folders[0].parent)
    looked = []
    monkeypatch.setattr(duplicates, "may_share", lambda marks, path: looked.append(path.name))
    monkeypatch.setattr(duplicates, "load_entry", lambda path: looked.append(path.name))
    assert list(duplicates._elsewhere(load_entry(folders[0]), index)) == [] and looked == []
    lines = answer.read_bytes().splitlines()
    for damaged in (b"", b"null", b'["zz"]', lines[1][:-5]):
        index.path.unlink()
        again = Index(index.path)
        again.write(zip(("a", "b", "c"), (lines[0], damaged, lines[2]), strict=True))
        assert again.may_share(marks_of(load_entry(folders[0]))) == {"a", "b"}


def test_all_entries_of_a_folder_are_checked_with_one_index(pack_system, monkeypatch):
    root, *_ = {pack_system(name, draw=1).parent for name in ("a", "b")}
    given = []

    def checked(folder, reviewed, time_limit, beside):
        given.append((folder.name, beside and beside.may_share(marks_of(load_entry(folder)))))
        return {"name": folder.name, "passed": True, "status": "passed", "findings": []}

    monkeypatch.setattr(guard, "check_guarded", checked)
    check(root)
    monkeypatch.setattr(submission, "MANY", 2)
    check(root)
    assert given == [("a", None), ("b", None), ("a", {"a", "b"}), ("b", {"a", "b"})]
