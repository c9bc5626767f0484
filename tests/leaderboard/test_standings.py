"""Boards: who is ranked, by what, what may be claimed, and what is shown beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxrbench.benchmark.results.rows import MetricInfo
from cxrbench.benchmark.significance.gain import paired_over_seeds
from cxrbench.benchmark.significance.worth import aligned, worth
from cxrbench.leaderboard.attempts import Division, Protocol, protocol_of
from cxrbench.leaderboard.ranking import compare_paired
from cxrbench.leaderboard.standings import board, boards

from .made_up import DSC, KEY, attempt, curve


def with_curve(*attempts, **options):
    return board(attempts, lambda key, device: curve(**options))


# ------------------------------------------------------------------------------------------------- what ranks


def test_the_counts_of_a_papers_films_are_said_of_a_board_of_these_films_alone():
    protocol = Protocol("lungs on the official split (124 train, 123 test), J pooled", DSC, (DSC,), "jsrt_scr")
    assert protocol.on("jsrt_scr") == protocol.summary
    assert (
        protocol.on("kermany_lungs") == protocol.on("jsrt_scr", "phantom") == "lungs as on the official split, J pooled"
    )
    assert protocol_of("scr_official").on("phantom_hard").endswith("as on the official SCR split, J and DSC pooled")


def test_what_ranks_is_the_gain_of_the_tasks_headline():
    made = board([attempt("a", 0.01), attempt("b", 0.0, seed=3)])
    assert (made.size, made.arm, made.with_placebos) == ("31", "mixed", True)
    for one in made.all:
        arm, placebo = (one.attempt.average("31", name, "dsc") for name in ("mixed", "placebo_mixed"))
        test = paired_over_seeds(list(arm.values()), list(placebo.values()))
        assert one.headline.gain.value == pytest.approx(test.difference)
        assert (one.headline.gain.low, one.headline.gain.p) == (pytest.approx(test.low), pytest.approx(test.p))
    found = compare_paired([one.headline.gain.by_seed for one in made.all])
    assert [one.rank for one in made.all] == found.ranks


def test_luck_that_an_entry_shares_with_its_placebo_cancels():
    """Two entries against placebos of their own, one of them 0.05 worse: what ranks is the gain alone."""
    lucky, unlucky = attempt("lucky", 0.0, luck=5, seed=3), attempt("unlucky", 0.02, luck=9, seed=4)
    low = {place: {seed: v - 0.05 for seed, v in found.items()} for place, found in unlucky.values.items()}
    made = board([lucky, replace(unlucky, values=low)])
    assert [one.attempt.title for one in made.all] == ["unlucky", "lucky"]
    assert made.all[0].headline.mean < made.all[1].headline.mean and made.all[0].rank.told == 1


def test_films_without_the_headlines_size_are_ranked_at_the_largest():
    made = board(
        [attempt("a", 0.02, sizes={"full": 60, "tiny": 11}), attempt("b", seed=3, sizes={"full": 60, "tiny": 11})]
    )
    assert (made.size, made.arm) == ("full", "mixed") and all(one.rank is not None for one in made.all)


def test_better_entries_rank_first_and_equal_ones_tie():
    names = {"best": 0.03, "good_a": 0.015, "good_b": 0.0152, "harmful": -0.05}
    made = board([attempt(name, gain, seed=n, sd=0.001) for n, (name, gain) in enumerate(names.items(), 2)])
    found = {one.attempt.title: one for one in made.standings[Division.REPRODUCED]}
    assert next(iter(found)) == "best" and list(found)[-1] == "harmful"
    assert {name: one.rank.first for name, one in found.items()} == {"best": 1, "good_a": 2, "good_b": 2, "harmful": 4}
    assert (found["good_a"].rank.last, found["harmful"].verdict) == (3, "harms")
    assert found["best"].verdict == "adds more than copying does"
    assert [one.verdict for one in board([attempt("even", 0.0, seed=12)]).all] == ["not told from copying"]


def test_copies_that_train_longer_gain_nothing():
    """FINETUNE scores 0.005 more than REAL, as its placebo does: that is no gain."""
    one = board([attempt("longer", 0.0, headline=("31", "finetune"), seed=5, sd=0.001)]).all[0]
    assert one.headline.difference.p < 0.1 or one.headline.difference.value > 0.003
    assert abs(one.headline.gain.value) < 0.002 and one.verdict == "not told from copying"


def test_lower_is_better_metrics_rank_the_other_way():
    metric = MetricInfo(name="hausdorff", label="Hausdorff", higher_is_better=False)
    made = board([attempt("near", -0.02, metric=metric), attempt("far", 0.02, metric=metric, seed=3)])
    assert [(one.attempt.title, one.rank.first, one.rank.told) for one in made.all] == [("near", 1, 1), ("far", 2, -1)]


# ------------------------------------------------------------------------------------------------- who ranks


def test_a_protocol_without_placebos_is_shown_without_ranks():
    old = [attempt("a", 0.01, placebos=False, headline=None), attempt("b", 0.03, placebos=False, headline=None, seed=3)]
    made = board(old)
    assert not made.with_placebos and [one.rank for one in made.all] == [None, None]
    assert {one.reason for one in made.all} == {"of a protocol without placebos"}
    assert made.all[0].headline.difference.value is not None and made.all[0].headline.gain.value is None
    assert [one.attempt.title for one in made.all] == ["b", "a"]  # by what there is: the difference from REAL
    assert (made.size, made.arm) == ("full", "mixed")


def test_an_entry_without_the_placebos_of_the_others_is_unranked():
    made = board([attempt("a"), attempt("b", seed=3), attempt("old", 0.2, placebos=False, seed=4)])
    found = {one.attempt.title: one for one in made.all}
    assert found["old"].rank is None and found["old"].reason == "of a protocol without placebos"
    assert found["a"].rank.last == 2


def test_fewer_than_five_seeds_are_shown_unranked_with_the_reason():
    made = board([attempt("whole"), attempt("early", 0.2, seeds=range(4)), attempt("single", seeds=range(1))])
    found = {one.attempt.title: one for one in made.all}
    assert found["early"].rank is None and found["early"].reason == "4 seeds, 5 needed"
    assert found["early"].headline.gain.value == pytest.approx(0.2, abs=0.01)
    assert found["single"].reason == "1 seed, 5 needed"
    assert found["whole"].rank is not None


@pytest.mark.parametrize("arm", ["mixed", "placebo_mixed"])
def test_a_missing_cell_leaves_an_entry_unranked_and_is_named(arm):
    lost = frozenset({("31", "official", arm, 3)})
    found = {one.attempt.title: one for one in board([attempt("whole"), attempt("holes", missing=lost)]).all}
    assert found["holes"].rank is None
    assert found["holes"].reason == f"missing cells: 31 {arm} seed 3 fold official, of 70"


def test_an_entry_that_left_arms_or_sizes_out_is_unranked_and_changes_nothing_for_others():
    entries = [
        attempt("a"),
        attempt("b"),
        attempt("few", arms=("real", "mixed")),
        attempt("one", sizes={"31": 31}),
    ]
    found = {one.attempt.title: one.rank is not None for one in board(entries).all}
    assert found == {"a": True, "b": True, "few": False, "one": False}
    more = attempt("c", arms=("real", "synthetic", "mixed", "finetune", "mixed_62"))
    invented = board([attempt("a"), attempt("b"), more])
    assert "mixed_62" not in invented.arms and all(one.rank is not None for one in invented.all)


def test_an_arm_that_was_not_taught_every_structure_has_no_rank():
    whole, part = attempt("whole"), attempt("part", seed=3)
    lost = {place: found for place, found in part.values.items() if place[1] != "mixed" or place[3] == "heart"}
    found = {one.attempt.title: one for one in board([whole, replace(part, values=lost)]).all}
    assert found["part"].reason == "no gain in DSC: MIXED was not taught every structure"


def test_the_same_gain_at_every_seed_is_no_claim():
    even = attempt("even", 0.01, sd=0.0)
    made = board([attempt("a"), even])
    found = {one.attempt.title: one for one in made.all}
    assert found["even"].reason == "every seed gained the same: no variance, no claim"


def test_divisions_are_ranked_apart():
    made = board([attempt("ours", 0.0), attempt("theirs", 0.3, division=Division.CLAIMED)])
    assert [(d.value, [one.rank.first for one in found]) for d, found in made.standings.items()] == [
        ("reproduced", [1]),
        ("claimed", [1]),
    ]


def test_ways_of_labelling_are_rows_of_their_own():
    made = board([attempt("lsgan", label_by="teacher"), attempt("lsgan", label_by="per_class", seed=3)])
    assert {one.attempt.title for one in made.all} == {"lsgan (labels by teacher)", "lsgan (labels by per_class)"}


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"data": "other"}, {"preset": "paper"}, {"digest": "f" * 64}, {"settings": "e" * 64}]
)
def test_other_protocols_data_presets_and_settings_are_other_boards(change):
    made = boards([attempt("a"), attempt("b", key=replace(KEY, **change))])
    assert len(made) == 2 and len({one.key.slug for one in made}) == 2


def test_boards_on_real_films_come_first():
    real = replace(KEY, task="scr_zzz", data="jsrt_scr", digest="2" * 64)
    made = boards([attempt("a"), attempt("b", key=real, phantom=False), attempt("c", key=replace(KEY, preset="paper"))])
    assert [one.phantom for one in made] == [False, True, True]


# ------------------------------------------------------------------------------------------------- beside it


def test_a_failed_seed_stays_in_the_mean_and_is_named_with_the_median_beside():
    lost = {("31", "mixed", 2): 0.3}
    made = board([attempt("failed", 0.01, changed=lost), attempt("whole", 0.01, seed=3)])
    found = {one.attempt.title: one for one in made.all}["failed"]
    gain = found.headline.gain
    assert gain.failed == (2,) and gain.failed_placebo == ()
    assert gain.value == pytest.approx(np.mean(list(gain.by_seed.values()))) and gain.value < -0.1
    assert gain.median == pytest.approx(0.01, abs=0.004)
    assert found.rank is not None


def test_the_worth_of_every_entry_is_read_from_the_boards_curve():
    made = with_curve(attempt("twice", 0.01, sd=0.002, seed=6), attempt("harm", -0.02, seed=3))
    by_seed = curve().scores("mixed")
    for one in made.all:
        scores, ladder = aligned(one.attempt.average("31", "mixed", "dsc"), by_seed)
        assert one.headline.worth == worth(scores, 31, ladder)
    found = {one.attempt.title: one.headline.worth for one in made.all}
    twice = found["twice"]
    assert twice.films == pytest.approx(62, rel=0.2) and twice.low_films < 62 < twice.high_films
    assert found["harm"].films == pytest.approx(31 / 4, rel=0.15)
    assert made.all[0].arms["31", "mixed"] is made.all[0].headline


def test_synthetic_films_alone_have_a_worth_on_their_own_curve_and_other_arms_have_none():
    (one,) = with_curve(attempt("a", 0.09, sd=0.0005)).all  # alone 0.1 below its gain: 0.94
    alone = one.arms["31", "synthetic"].worth
    assert alone.films == pytest.approx(31 / 2, rel=0.15)
    assert one.arms["31", "finetune"].worth is None and one.arms["full", "mixed"].worth is None


def test_beyond_the_curve_and_where_it_is_flat_there_is_no_number():
    (far,) = with_curve(attempt("far", 0.08, sd=0.0005)).all
    assert far.headline.worth.censored == "above" and far.headline.worth.films is None
    (flat,) = with_curve(attempt("flat", 0.0002, seed=4, sd=0.001), flat_from=16).all
    assert not flat.headline.worth.identified and flat.headline.worth.films is None


def test_without_a_curve_there_is_no_worth_and_the_ranks_are_the_same():
    entries = [attempt("a", 0.01), attempt("b", -0.01, seed=3)]
    bare, whole = board(entries, lambda key, device: None), with_curve(*entries)
    assert [one.headline.worth for one in bare.all] == [None, None]
    assert [one.rank for one in bare.all] == [one.rank for one in whole.all]


def test_the_curve_is_asked_for_by_board_and_device():
    asked = []
    board([attempt("a"), replace(attempt("b"), device="cuda"), attempt("c")], lambda *words: asked.append(words))
    assert asked == [(KEY, "cpu")]


def test_other_arms_and_sizes_and_differences_from_real_are_there():
    (one,) = board([attempt("a", 0.01, sd=0.0005)]).all
    assert set(one.arms) == {
        (size, arm) for size in ("full", "31") for arm in ("real", "synthetic", "mixed", "finetune")
    }
    assert one.arms["full", "mixed"].gain.value == pytest.approx(0.01, abs=0.001)
    assert one.arms["31", "synthetic"].gain.value == pytest.approx(-0.09, abs=0.001)
    assert one.arms["31", "finetune"].difference.value == pytest.approx(0.015, abs=0.001)  # 0.005 of it longer training
    assert one.arms["31", "finetune"].gain.value == pytest.approx(0.01, abs=0.001)


def test_a_control_is_marked_by_its_entry_not_by_its_name():
    made = board([attempt("copy_train", 0.0), attempt("mine", 0.0, seed=3, control=True)])
    assert {one.attempt.title: one.control for one in made.all} == {"copy_train": False, "mine": True}
    assert all(one.rank is not None for one in made.all)
