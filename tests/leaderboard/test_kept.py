"""What a build takes as it was made before is what a build makes that knows nothing: whatever changed since."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cxrbench.benchmark import digest
from cxrbench.leaderboard import guard, kept, reached, standings
from cxrbench.leaderboard.attempts import Attempt
from cxrbench.leaderboard.handed_over import from_line, to_line
from cxrbench.leaderboard.site import again, beside, pages, write_site

from .made_up import Division, Entrant, attempt, curve

building = importlib.import_module("cxrbench.leaderboard.site.build")


def files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def handed_over(one: Attempt, folder: Path) -> Attempt:
    """As a build has it."""
    (found,) = from_line(to_line([one], folder).encode(), folder)
    return found


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Build a site of gains by name: its files, and what was made for it; a home that knows nothing has the same files."""
    Image.new("L", (4, 4), 7).save(tmp_path / "one.png")
    counted: list[str] = []
    for place, name in ((pages, "reached"), (pages, "board_page"), (standings, "_standings"), (building, "_picture")):
        real = getattr(place, name)

        def count(*args, real=real, name=name, **options):
            if name != "_standings" or args[1]:
                counted.append(name)
            return real(*args, **options)

        monkeypatch.setattr(place, name, count)

    def build(gains: dict[str, float], slope: float = 0.01, **options) -> tuple[dict[str, bytes], list[str]]:
        entrant = {"division": Division.CLAIMED, "samples": (tmp_path / "one.png",)}
        found = [
            handed_over(attempt(name, gain, entrant=Entrant(name=name, **entrant), **options), tmp_path)
            for name, gain in gains.items()
        ]

        def find_curve(key, device):
            return curve(slope=slope)

        counted.clear()
        write_site(found, tmp_path / "site", find_curve=find_curve)
        work = counted.copy()
        with monkeypatch.context() as patch:
            patch.setenv("CXRBENCH_HOME", str(tmp_path / "knows nothing"))
            shutil.rmtree(tmp_path / "new", ignore_errors=True)
            shutil.rmtree(tmp_path / "knows nothing", ignore_errors=True)
            write_site(found, tmp_path / "new", find_curve=find_curve)
        assert files(tmp_path / "site") == files(tmp_path / "new")
        return files(tmp_path / "site"), work

    return build


THREE = {"a": 0.01, "b": 0.02, "c": -0.01}
EVERYTHING = {"reached": 3, "board_page": 1, "_standings": 1, "_picture": 3}


def counts(work: list[str]) -> dict[str, int]:
    return {name: work.count(name) for name in EVERYTHING}


def test_a_build_of_the_same_entries_makes_nothing_again(made):
    first, work = made(THREE)
    assert counts(work) == EVERYTHING
    second, work = made(THREE)
    assert second == first and work == []


def test_one_entry_that_changed_is_made_again_and_the_board_with_it(made):
    first, _ = made(THREE)
    second, work = made(THREE | {"c": 0.05})
    assert counts(work) == {"reached": 1, "board_page": 1, "_standings": 1, "_picture": 1}
    assert second["providers/a.html"] != first["providers/a.html"]  # its rank is another
    third, work = made(THREE | {"d": 0.03})
    assert counts(work) == {"reached": 1, "board_page": 1, "_standings": 1, "_picture": 1}
    assert {name for name in third if name.startswith("providers/")} >= {"providers/c.html", "providers/d.html"}
    assert made(THREE) == (first, [])


def test_another_curve_is_seen(made):
    first, _ = made(THREE)
    second, work = made(THREE, slope=0.02)
    assert counts(work) == EVERYTHING and second["providers/a.html"] != first["providers/a.html"]


def test_another_picture_is_seen(made, tmp_path):
    first, _ = made(THREE)
    Image.new("L", (4, 6), 9).save(tmp_path / "one.png")
    second, work = made(THREE)
    assert counts(work)["_picture"] == 3 and second["films/a-00.png"] != first["films/a-00.png"]
    assert b'height="6"' in second["providers/a.html"] and b'height="6"' not in first["providers/a.html"]


def test_other_code_makes_everything_again(made, monkeypatch):
    first, _ = made(THREE)
    monkeypatch.setattr(kept, "code", lambda: "another version")
    second, work = made(THREE)
    assert second == first and counts(work) == EVERYTHING


def test_what_papers_print_beside_is_seen(made, monkeypatch):
    first, _ = made(THREE)
    for place in (again, beside, pages):
        monkeypatch.setattr(place, "why_none", lambda board: "Their films are <others>.")
    second, work = made(THREE)
    assert counts(work)["reached"] == 3 and b"Their films are &lt;others&gt;" in second["providers/a.html"]
    assert first.keys() == second.keys()


@pytest.mark.parametrize("kind", [reached.KIND, again.KIND])
@pytest.mark.parametrize("damage", ["cut", "swapped", "gone", "empty"])
def test_what_is_damaged_is_made_again(made, kind, damage):
    first, _ = made(THREE)
    found = sorted(path for path in kept.folder(kind).rglob("*") if path.is_file())
    assert found
    contents = [path.read_bytes() for path in found]
    for path, content, other in zip(found, contents, [*contents[1:], b"other\n{}"], strict=True):
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut": content[:-1], "swapped": other, "empty": b""}[damage])
    second, work = made(THREE)
    assert second == first and work
    assert made(THREE) == (first, [])


def test_of_attempts_that_were_not_handed_over_nothing_is_kept(tmp_path):
    found = [attempt(name, gain) for name, gain in THREE.items()]
    assert {one.known for one in found} == {""}
    write_site(found, tmp_path / "site")
    assert not [path for kind in (reached.KIND, again.KIND) for path in kept.folder(kind).rglob("*") if path.is_file()]
    one = handed_over(found[0], tmp_path)
    assert one.known and replace(one, protocol=found[0].protocol) == found[0]
    assert replace(one, created="2027-01-01T00:00:00Z").known == ""


def test_the_code_is_every_file_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "PACKAGE", tmp_path)
    for name in ("benchmark/one.py", "leaderboard/site/page.html.j2", "leaderboard/published/table.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = kept.code.__wrapped__()
        path.write_text("one")
        between = kept.code.__wrapped__()
        path.write_text("two")
        assert len({before, between, kept.code.__wrapped__()}) == 3


def test_what_was_not_used_for_long_or_is_too_much_is_taken_away(monkeypatch):

    for number, days in enumerate((0, 1, 2, 40)):
        kept.keep("kind", f"{number}" * 64, bytes(1000))
        path = kept.folder("kind") / f"{number}{number}" / (f"{number}" * 64)
        os.utime(path, (time.time() - days * 86400,) * 2)
    kept.forget_old("kind")
    assert [kept.find("kind", f"{number}" * 64) is not None for number in range(4)] == [True, True, True, False]
    os.utime(kept.folder("kind") / "22" / ("2" * 64), (0.0, time.time() - 2 * 86400))
    monkeypatch.setattr(kept, "MOST_BYTES", 2500)
    os.utime(kept.folder("kind") / "11" / ("1" * 64), (0.0, time.time() - 86400))
    kept.forget_old("kind")
    assert [kept.find("kind", f"{number}" * 64) is not None for number in range(3)] == [True, True, False]


def test_no_process_is_begun_for_entries_that_were_read_before(packed, tmp_path, monkeypatch):
    root, begun, real = tmp_path / "entries", [], guard._lines_apart
    shutil.copytree(packed, root / "my_gan")
    monkeypatch.setattr(
        guard, "_lines_apart", lambda what, folders, limit: begun.append(folders) or real(what, folders, limit)
    )
    first = guard.load_guarded(root)
    assert begun == [[root / "my_gan"]] and first[0] and not first[1]
    assert guard.load_guarded(root) == first and len(begun) == 1
    path = root / "my_gan" / "submission.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('version = "', 'version = "9'), encoding="utf-8")
    (one, *_), _ = guard.load_guarded(root)
    assert len(begun) == 2 and one.entrant.version.startswith("9")
    path.unlink()
    attempts, (line,) = guard.load_guarded(root)
    assert attempts == [] and "submission.toml is missing" in line and len(begun) == 3
