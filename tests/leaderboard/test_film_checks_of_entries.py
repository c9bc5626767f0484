"""What a run said against its own films: in an entry it waits for a review, and a board shows none of its words."""

from __future__ import annotations

from cxrbench.benchmark.results.folder import load_run, write_results
from cxrbench.benchmark.results.rows import CheckRow
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.entry import load_entry

from .conftest import pack_run

ROW = CheckRow(size="full", fold="", seed=0, name="named sources", sentence="8 of 12 films are copies", alarm=True)


def test_an_alarm_waits_for_a_review_and_its_words_are_shown_short(made_run, sources, tmp_path):
    made = made_run(tmp_path)
    rows = [ROW, ROW.model_copy(update={"seed": 1, "sentence": "long " * 500}), ROW.model_copy(update={"alarm": False})]
    write_results(made.run, load_run(made.run).model_copy(update={"film_checks": rows}))
    folder = pack_run(made, tmp_path / "submissions", "my_gan")
    (found,) = [one for one in check_entry(folder, sources=sources).findings if "its run said" in one.message]
    assert found.level == "review"
    assert found.message == "its run said of 2 sets of films: named sources: 8 of 12 films are copies"
    (attempt,) = from_entry(load_entry(folder))
    assert not [name for name, _, _ in attempt.checks if name.startswith("named sources")]
