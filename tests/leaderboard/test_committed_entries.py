"""The entries of this repository: reproduced on phantoms and on real films, each passes the check and has a rank."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.entry import entry_folders, load_entries, strays
from cxrbench.leaderboard.standings import boards

ENTRIES = Path(__file__).parents[2] / "submissions"
CONTROLS = ("copy_train", "classical", "degraded", "noise")
PHANTOM, REAL_FILMS = "phantom_hard", "kermany_lungs"
BOARDS = {
    ("scr_official", REAL_FILMS): (
        *("three_stage", "two_stage", "single_stage", "flow_maps", "dcgan_pair", "edm_pair"),
        *CONTROLS,
    ),
    ("scr_official", PHANTOM): ("three_stage", "single_stage", "flow_maps", "dcgan_pair", "edm_pair", *CONTROLS),
    ("nih_localisation", "phantom_boxes"): ("pix2pix", "pix2pix_n", "edm_inpaint", "copy_train"),
}
"""Who stands on which board."""
MOST_BYTES = 32_000_000
"""All other tracked files are 7 MB."""


@pytest.mark.parametrize("folder", entry_folders(ENTRIES), ids=lambda folder: folder.name)
def test_a_committed_entry_passes(folder, scored_once):
    verdict = check_entry(folder)
    assert [str(finding) for finding in verdict.findings if not verdict.passed] == []


def test_beside_the_entries_lies_nothing_that_none_of_them_uses():
    assert strays(ENTRIES) == []


@pytest.mark.parametrize(("board", "names"), BOARDS.items(), ids="-".join)
def test_every_board_has_its_entries_and_all_of_them_are_ranked(board, names):
    found = {
        entry.name: (entry, run)
        for entry in load_entries(ENTRIES)
        for run in entry.runs
        if (run.results.task.name, run.results.data.name) == board
    }
    assert set(found) >= set(names)
    for name, (entry, run) in found.items():
        assert entry.submission.division == "reproduced" and entry.samples and entry.readme
        assert run.results.provider.name == name and run.results.preset == "quick" and entry.unranked(run) == ()
        assert run.results.data.phantom is (board[1] != REAL_FILMS)
        assert run.results.gains
        if board[0] == "scr_official":  # boxes have no curve yet
            assert run.results.worths and run.results.curve is not None


@pytest.mark.parametrize("data", [PHANTOM, REAL_FILMS])
def test_the_ruler_measures_what_is_known_of_the_controls(data):
    """Copies gain nothing at any size; noise and wrong masks harm; films bent and moved help, as they are known to."""
    results = {
        entry.name: run.results
        for entry in load_entries(ENTRIES)
        for run in entry.runs
        if (run.results.task.name, run.results.data.name) == ("scr_official", data)
    }
    for gain in results["copy_train"].gains:
        assert gain.verdict == "not told from copying", gain
    headline = {
        name: next(one for one in found.gains if (one.size, one.arm, one.metric) == ("31", "mixed", "dsc"))
        for name, found in results.items()
    }
    for name in ("noise", "degraded"):
        assert headline[name].verdict == "harms" and headline[name].high < 0.0
    assert headline["classical"].verdict == "adds more than copying does"


def test_a_board_tells_wrong_masks_from_the_others_and_copies_gain_nothing():
    """Corrected for all comparisons of a board: with every entry fewer are told over five seeds."""
    attempts = [attempt for entry in load_entries(ENTRIES) for attempt in from_entry(entry)]
    found = {board.key.data: board for board in boards(attempts) if board.key.task == "scr_official"}
    assert set(found) == {PHANTOM, REAL_FILMS}
    for data, board in found.items():
        ranked = [one for one in board.all if one.rank is not None]
        names = [one.attempt.entrant.name for one in ranked]
        bent, copies, wrong = (names.index(name) for name in ("classical", "copy_train", "degraded"))
        apart = board.apart[ranked[bent].attempt.entrant.division]
        assert bent == 0 and ranked[copies].rank.told == 0
        assert set(names[wrong + 1 :]) <= {"edm_pair"}  # harms on both boards, on the phantom more than wrong masks do
        assert apart[bent, wrong] and not apart[bent, copies]
        if data == REAL_FILMS:
            assert ranked[wrong].verdict == "harms" and apart[copies, wrong]
            assert {one.attempt.entrant.name for one in board.all} - set(names) == {"ldm_masks"}  # one size of three


def test_the_controls_say_that_they_are():
    controls = {entry.name for entry in load_entries(ENTRIES) if entry.submission.control}
    assert controls == set(CONTROLS)


def test_the_entries_leave_room_in_a_repository_of_40_megabytes():
    assert 0 < sum(path.stat().st_size for path in ENTRIES.rglob("*") if path.is_file()) < MOST_BYTES
