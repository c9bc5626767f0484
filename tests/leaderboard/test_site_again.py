"""A site that is built over an older one is the site that a new folder gets, whoever writes its pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from cxrbench.leaderboard.site import write_site, writing

from .made_up import Division, Entrant, attempt


def files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def picture(path: Path, shade: int) -> Path:
    Image.new("L", (4, 4), shade).save(path)
    return path


def entries(folder: Path, gain: float = 0.01, names: str = "abc"):
    made = picture(folder / "one.png", 7) if not (folder / "one.png").exists() else folder / "one.png"
    return [
        attempt(
            name, gain if name == "a" else 0.02, entrant=Entrant(name=name, division=Division.CLAIMED, samples=(made,))
        )
        for name in names
    ]


@pytest.fixture
def built(tmp_path):
    """A site, and what holds it to be that of a new folder after it was built again."""
    site = tmp_path / "site"
    write_site(entries(tmp_path), site)

    def same(found) -> dict[str, bytes]:
        write_site(found, site)
        write_site(found, tmp_path / "new")
        assert files(site) == files(tmp_path / "new")
        return files(site)

    return site, same


def test_what_stays_as_it_was_is_not_written_again(built, tmp_path):
    site, same = built
    before = {path: path.stat().st_ino for path in site.rglob("*") if path.is_file()}
    same(entries(tmp_path))
    assert {path: path.stat().st_ino for path in before} == before


def test_an_entry_that_changed_is_seen_and_one_that_left_is_gone(built, tmp_path):
    site, same = built
    before = files(site)
    after = same(entries(tmp_path, gain=0.05, names="ab"))
    assert after["providers/a.html"] != before["providers/a.html"]
    assert before.keys() - after.keys() == {"providers/c.html", "films/c-00.png"}


def test_a_picture_of_another_content_under_the_same_name_and_size_is_seen(built, tmp_path):
    site, same = built
    before, old = files(site), (tmp_path / "one.png").stat()
    picture(tmp_path / "one.png", 8)
    os.utime(tmp_path / "one.png", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (tmp_path / "one.png").stat().st_size == old.st_size
    after = same(entries(tmp_path))
    assert after["films/a-00.png"] != before["films/a-00.png"]


def test_what_another_name_of_a_page_leads_to_is_left_as_it_is(built, tmp_path):
    site, same = built
    page, kept, elsewhere = site / "providers" / "a.html", tmp_path / "kept.html", tmp_path / "elsewhere.html"
    os.link(page, kept)
    before = kept.read_bytes()
    elsewhere.write_text("mine")
    (site / "providers" / "b.html").unlink()
    (site / "providers" / "b.html").symlink_to(elsewhere)
    (site / "boards" / "stray").mkdir()
    same(entries(tmp_path, gain=0.05))
    assert kept.read_bytes() == before and elsewhere.read_text() == "mine"
    assert not (site / "providers" / "b.html").is_symlink() and not (site / "boards" / "stray").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no second process")
@pytest.mark.parametrize("ends", ["well", "badly"])
def test_pages_of_another_process_are_the_same(built, tmp_path, monkeypatch, ends):
    one, begun, real = files(built[0]), [], os.fork
    monkeypatch.setattr(writing, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(writing, "_may_fork", lambda: True)

    def fork() -> int:
        child = real()
        if child == 0 and ends == "badly":
            os._exit(3)
        begun.append(child)
        return child

    monkeypatch.setattr(os, "fork", fork)
    again = tmp_path / "again"
    count = write_site(entries(tmp_path), again).pages
    assert files(again) == one and len(begun) == 1 and count == sum(name.endswith(".html") for name in one)
