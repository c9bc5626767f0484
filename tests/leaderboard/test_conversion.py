"""Schema 1 to schema 2: the same contents in fewer files, or one line that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli import app
from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.conversion import convert
from cxrbench.leaderboard.entry import load_entry, strays
from cxrbench.leaderboard.pack import new_entry, pack

from . import taken_apart as apart
from .taken_apart import as_schema_1, run_folder


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def digest_of_files(entry: Path) -> str:
    """What `submission check --json` said of an entry of schema 1."""
    files = sorted((path.relative_to(entry).as_posix(), path) for path in entry.rglob("*") if path.is_file())
    return digest.of_json([[name, digest.of_file(path)] for name, path in files])


def lines(root: Path) -> list[str]:
    return [str(one) for one in convert(root)]


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_a_converted_entry_is_to_the_byte_what_pack_writes(share, scores, pack_system, sources):
    entry = pack_system(share=share)
    root = entry.parent
    if not scores:
        for folder in (run_folder(entry), *root.glob("shared/*")):
            apart.without_scores(folder)
        seal_again(entry)
    before = contents(root)
    as_schema_1(entry)
    cells = 9 * (3 if scores else 2)
    assert len(contents(root)) == cells + 4 and before.keys() != contents(root).keys()
    *shared, words = lines(root)
    assert contents(root) == before
    assert words.startswith("my_gan: ") and ("became" in words) and bool(shared) is share
    assert check_entry(entry, sources=sources).passed and strays(root) == []


def seal_again(entry: Path) -> None:
    from cxrbench.leaderboard.pack import seal

    seal(entry)


def test_converting_again_changes_nothing(entry):
    as_schema_1(entry)
    lines(entry.parent)
    before = contents(entry.parent)
    assert lines(entry.parent) == ["my_gan: is of schema 2 already"]
    assert contents(entry.parent) == before


def test_a_draft_without_a_run_is_converted_and_keeps_its_comments(tmp_path):
    draft = new_entry("my_gan", tmp_path)
    text = (draft / "submission.toml").read_text()
    (draft / "submission.toml").write_text(text.replace("schema = 2", "schema = 1"))
    lines(tmp_path)
    assert (draft / "submission.toml").read_text() == text and "# the folder's name" in text


def test_a_review_of_the_old_files_is_carried_over_and_one_of_others_is_not(pack_system, sources):
    entry = pack_system(seeds=5, wrong={"real": 0.05, "synthetic": 0.001})
    as_schema_1(entry)
    reviewed = entry.parent / "reviewed.toml"
    old = digest_of_files(entry)
    text = f'# looked at\n[my_gan]\ndigest = "{old}"\nreason = "asked the authors"\n[other]\ndigest = "{"0" * 64}"\n'
    reviewed.write_text(text)
    (words,) = lines(entry.parent)
    new = load_entry(entry).digest
    assert f"its review in reviewed.toml now names {new[:8]} for {old[:8]}" in words
    assert reviewed.read_text() == text.replace(old, new)
    assert check_entry(entry, sources=sources).passed

    as_schema_1(entry)
    reviewed.write_text(f'[my_gan]\ndigest = "{"1" * 64}"\nreason = "of another version"\n')
    (words,) = lines(entry.parent)
    assert "review" not in words and "1" * 64 in reviewed.read_text()


DAMAGES = {
    "a number of a record": ("records/*/record.json", b'"seed":0', b'"seed":1', "is not as it was packed"),
    "a number of the results": ("results/*.json", b'"preset":"quick"', b'"preset":"paper"', "is not as it was packed"),
    "the predictions": ("records/*/predictions.npz", b"PK", b"KP", "is not as it was packed"),
    "the words": ("submission.toml", b"licence", b"license", "submission.toml: licence: Field required"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_was_changed_after_packing_is_not_converted(name, entry):
    pattern, old, new, words = DAMAGES[name]
    as_schema_1(entry)
    path = next(path for path in sorted(entry.glob(pattern)) if old in path.read_bytes())
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    before = contents(entry.parent)
    (line,) = lines(entry.parent)
    assert line.startswith("my_gan: cannot be converted: ") and words in line and "\n" not in line
    assert contents(entry.parent) == before


def test_a_record_that_does_not_name_its_files_is_not_converted(entry):
    """Sealed again by somebody who knows the format."""
    as_schema_1(entry)
    path = min((entry / "records").glob("*/record.json"))
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"files": record["files"] | {"predictions.npz": "0" * 64}}))
    apart.seal_as_schema_1(entry)
    (line,) = lines(entry.parent)
    assert "the files beside its record are not those that it names" in line


def test_one_that_cannot_be_converted_does_not_keep_the_others(pack_system):
    bad, good = pack_system("bad", share=True), pack_system("good", share=True, wrong={"real": 0.02, "synthetic": 0.1})
    as_schema_1(bad)
    as_schema_1(good)
    (bad / "notes.pkl").write_bytes(b"x")
    root = bad.parent
    done = CliRunner().invoke(app, ["submission", "convert", "--dir", str(root)])
    shared, first, second = done.stdout.splitlines()
    assert done.exit_code == 1 and "error: 1 of 3 cannot be converted: bad" in done.stderr
    assert shared == "shared/squares-tiny_films-quick: 6 cells that entries share"
    assert first.startswith("bad: cannot be converted: notes.pkl: code, pickles and weights do not belong")
    assert second.startswith("good: ") and load_entry(good).runs[0].records.keys() >= load_shared(root)
    (bad / "notes.pkl").unlink()
    assert CliRunner().invoke(app, ["submission", "convert", "--dir", str(root)]).exit_code == 0
    assert load_entry(bad).runs[0].records.keys() >= load_shared(root)


def load_shared(root: Path) -> set[str]:
    (folder,) = (root / "shared").iterdir()
    return {record["key"] for record in apart.records(folder)}


def test_files_of_both_schemas_are_told(entry, tmp_path):
    shutil.copytree(entry / "runs", tmp_path / "runs")
    as_schema_1(entry)
    shutil.copytree(tmp_path / "runs", entry / "runs")
    (line,) = lines(entry.parent)
    assert "it has files of both schemas" in line


# -------------------------------------------------------------------------------------------------- the old form elsewhere


def test_the_old_form_is_refused_with_the_command_that_converts_it(entry, sources):
    as_schema_1(entry)
    verdict = check_entry(entry, sources=sources)
    (finding,) = verdict.findings
    assert verdict.status == "refused"
    assert str(finding) == (
        "error  format: the entry is of schema 1; `cxrbench submission convert` writes it anew, with the same numbers"
    )


def test_a_run_is_not_packed_into_the_old_form(made_run, tmp_path):
    made = made_run(tmp_path)
    folder = pack(made.run, "my_gan", tmp_path / "submissions", made.store)
    as_schema_1(folder)
    before = contents(folder)
    with pytest.raises(InputError, match="cxrbench submission convert"):
        pack(made.run, "my_gan", tmp_path / "submissions", made.store)
    assert contents(folder) == before


def test_no_folder_of_entries_is_wrong_input():
    result = CliRunner().invoke(app, ["submission", "convert", "--dir", "nowhere"])
    assert isinstance(result.exception, InputError) and "no such folder" in str(result.exception)


def test_a_list_of_reviews_that_cannot_be_read_stops_a_conversion_before_anything_is_changed(entry):
    as_schema_1(entry)
    (entry.parent / "reviewed.toml").write_text("x = = \n")
    before = contents(entry)
    (words,) = [line for line in lines(entry.parent) if line.startswith("my_gan")]
    assert "cannot be converted" in words and "reviewed.toml" in words
    assert contents(entry) == before


def test_an_entry_with_an_odd_folder_does_not_keep_the_others(entry):
    as_schema_1(entry)
    shutil.copytree(entry, entry.parent / "zzz")
    (entry / "samples" / "a").mkdir(parents=True)
    (entry / "samples" / "a" / "tiny-1.png").write_bytes(b"")
    toml = entry.parent / "zzz" / "submission.toml"
    toml.write_text(toml.read_text().replace("my_gan", "zzz"))
    said = {line.partition(":")[0]: line for line in lines(entry.parent)}
    assert "cannot be converted" in said["my_gan"] and "became" in said["zzz"]
