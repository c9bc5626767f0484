"""The entries of this repository: reproduced on their home task, each passes the check and has a rank."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.entry import entry_folders, load_entries, strays
from cxrbench.leaderboard.standings import boards

ENTRIES = Path(__file__).parents[2] / "submissions"
HOMES = {
    "scr_official": ("single_stage", "two_stage", "three_stage", "copy_train", "classical", "degraded", "noise"),
    "scr_3fold": ("dcgan_pair",),
    "nih_classification": ("lsgan", "vae", "gmvae_v4", "fs_gmvae_v3", "stargan"),
    "nih_localisation": ("pix2pix", "pix2pix_n"),
}
MOST_BYTES = 26_000_000
"""All other tracked files are 4 MB."""


@pytest.mark.parametrize("folder", entry_folders(ENTRIES), ids=lambda folder: folder.name)
def test_a_committed_entry_passes(folder):
    verdict = check_entry(folder)
    assert [str(finding) for finding in verdict.findings if not verdict.passed] == []


def test_beside_the_entries_lies_nothing_that_none_of_them_uses():
    assert strays(ENTRIES) == []


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in HOMES.items() for name in names])
def test_a_family_is_reproduced_and_ranked_on_its_home_task(task, name):
    (entry,) = (entry for entry in load_entries(ENTRIES) if entry.name == name)
    (run,) = entry.runs
    assert entry.submission.division == "reproduced" and entry.samples and entry.readme
    assert run.results.provider.name == name and run.results.task.name == task
    assert run.results.data.phantom and run.results.preset == "quick" and run.unranked == ()


def test_the_board_tells_noise_from_copies_and_copies_gain_nothing():
    attempts = [attempt for entry in load_entries(ENTRIES) for attempt in from_entry(entry)]
    (board,) = (one for one in boards(attempts) if one.key.task == "scr_official")
    names = [one.attempt.entrant.name for one in board.all]
    found = {one.attempt.entrant.name: one for one in board.all}
    division = board.all[0].attempt.entrant.division
    copies, noise = (names.index(name) for name in ("copy_train", "noise"))
    assert board.apart[division][copies, noise] and copies < noise
    assert found["copy_train"].rank.told == 0 and found["noise"].verdict == "harms"


def test_the_controls_say_that_they_are():
    controls = {entry.name for entry in load_entries(ENTRIES) if entry.submission.control}
    assert controls == {"copy_train", "classical", "degraded", "noise"}


def test_the_entries_leave_room_in_a_repository_of_30_megabytes():
    assert 0 < sum(path.stat().st_size for path in ENTRIES.rglob("*") if path.is_file()) < MOST_BYTES
