"""Entries on Windows: a clone that may change line ends, editors that write them and byte order marks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.untrusted import Refused, read_toml

from . import taken_apart as apart

TREE = Path(__file__).parents[2]
TEXT = (".toml", ".md", ".json", ".jsonl")
FIXED = ("submissions", "tests/regression", "tests/benchmark/same_bits.json", "benchmark/errors.py")
"""What digests are taken of: entries, committed results, code."""


def _git(*arguments: str | Path) -> None:
    subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True)


def _files(root: Path) -> dict[str, bytes]:
    found = [path for part in FIXED for path in ((root / part).rglob("*") if (root / part).is_dir() else [root / part])]
    kept = [path for path in found if path.suffix in (*TEXT, ".py") and path.stat().st_size < 200_000]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.skipif(not (TREE / ".gitattributes").is_file(), reason="not in a checkout")
@pytest.mark.parametrize("attributes", [True, False])
def test_a_clone_that_turns_line_ends_keeps_every_byte_of_what_has_a_digest(tmp_path, attributes):
    ours = _files(TREE)
    assert len(ours) > 40 and all(b"\r\n" not in data for data in ours.values())
    source = tmp_path / "source"
    for name, data in ours.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    if attributes:
        shutil.copy(TREE / ".gitattributes", source)
    _git("init", "-q", source)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    _git("-C", source, "add", "-A")
    _git("-C", source, *identity, "commit", "-qm", "all")
    _git("clone", "-q", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", source, tmp_path / "clone")
    assert (_files(tmp_path / "clone") == ours) == attributes


def _with_crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def test_windows_line_ends_are_called_so(entry, sources):
    (entry / "README.md").write_bytes(b"# my_gan\r\n\r\nA generator of films.\r\n")
    verdict = check_entry(entry, sources=sources)
    assert not verdict.passed and "README.md has Windows line ends (CRLF)" in str(verdict.findings[0])
    (entry / "README.md").write_bytes(b"\xef\xbb\xbf# my_gan\n")
    assert "begins with a byte order mark (U+FEFF)" in str(check_entry(entry, sources=sources).findings[0])


def test_records_with_windows_line_ends_are_not_said_to_be_changed(entry, sources):
    records = apart.run_folder(entry) / "records.jsonl"
    before = records.read_bytes()
    _with_crlf(records)
    said = "\n".join(map(str, check_entry(entry, sources=sources).findings))
    assert "records.jsonl: has Windows line ends (CRLF)" in said and "was changed after it was packed" not in said
    records.write_bytes(before.replace(b"\n", b" \n", 1))
    said = "\n".join(map(str, check_entry(entry, sources=sources).findings))
    assert "was changed after it was packed" in said and "CRLF" not in said


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_toml_with_a_byte_order_mark_is_read(entry, sources, end):
    path = entry / "submission.toml"
    plain, data = read_toml(path), path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", end))
    assert read_toml(path) == plain
    assert check_entry(entry, sources=sources).passed
    path.write_bytes(data.decode().encode("utf-16"))
    with pytest.raises(Refused, match=r"submission\.toml is not UTF-8"):
        read_toml(path)
