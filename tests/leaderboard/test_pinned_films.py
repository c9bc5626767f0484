"""Test films of an entry whose films are not at hand: the task says whether they can be those of its protocol."""

from __future__ import annotations

from collections.abc import Sequence

from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.checks.subject import Sources

from .conftest import Squares


class Pinned(Squares):
    """Squares with an official test list, of other films."""

    def wrong_test(self, ids: Sequence[str]) -> str:
        return "those of the official split" if len(ids) else ""


def test_films_that_the_task_refuses_are_an_error_without_the_films(entry, without_films):
    assert check_entry(entry, sources=without_films).passed
    verdict = check_entry(entry, sources=Sources(task=lambda name: Pinned, films=without_films.films))
    assert not verdict.passed
    wrong = [one for one in verdict.findings if "its test films are not those of the official split" in str(one)]
    assert len(wrong) == sum(len(run.results.cells) for run in verdict.entry.runs)


def test_films_that_are_at_hand_are_held_against_the_films(entry, sources):
    assert check_entry(entry, sources=Sources(task=lambda name: Pinned, films=sources.films)).passed
