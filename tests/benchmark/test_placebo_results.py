"""Gains over copies and worths in real films in the results of a run and in its words: hand-made scores of seeds."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.contracts.task import ArmName, Headline
from cxrbench.benchmark.report import text_tables as tables
from cxrbench.benchmark.report.gain_words import (
    HEADINGS,
    _other_way,
    gain_lines,
    headline_sentences,
    placebo_notes,
    worth_cell,
)
from cxrbench.benchmark.report.ladder import curve_figure, curve_lines
from cxrbench.benchmark.report.write import write_run
from cxrbench.benchmark.results.against_placebo import gain_rows, worth_rows
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.averages import seed_values
from cxrbench.benchmark.results.curve import FoundCurve
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import load_run
from cxrbench.benchmark.results.gains import CurvePoint, GainRow, PlaceboCurve, WorthRow
from cxrbench.benchmark.results.rows import HeadlineInfo, MetricInfo, Results
from cxrbench.benchmark.runs.record import DataIdentity
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.significance.worth import aligned, worth

from .conftest import TinyTask, maker

SEEDS = (0, 1, 2, 3, 4)
LUCK = np.array([0.01, -0.015, 0.005, 0.0, 0.0])  # of a seed, which arm and placebo share
GAIN = np.array([0.03, 0.02, 0.04, 0.03, 0.05])  # mean 0.034
WAVE = np.array([-31, -22, -10, 2, 3, 9, 20, 29]) / 1000  # of test films, sum 0
ARMS = ("real", "synthetic", "mixed")
COPIED = ("synthetic", "mixed")

Scores = Mapping[tuple[str, str], Sequence[float]]


@pytest.fixture(autouse=True)
def ranked(monkeypatch):
    """The task's boards rank by mixed at tiny."""
    monkeypatch.setattr(TinyTask, "headline", Headline(ArmName.MIXED, "tiny"))


def by_seed(scores: Scores):
    """Case scores whose average is the one given for (size, arm) and seed; an arm's own spread over test films."""

    def given(size, arm, seed, organ):
        turn = sum(map(ord, arm)) % 8
        return np.asarray(scores[size, arm][seed]) + np.roll(WAVE, turn) * (1.5 if organ == "heart" else 1)

    return given


def told(gain=GAIN, alone=-0.1, luck=LUCK) -> dict[tuple[str, str], np.ndarray]:
    """`full` where nothing is gained, `tiny` where mixed gains."""
    base = {"full": 0.8 + luck, "tiny": 0.7 + luck}
    nothing = np.array([0.003, -0.004, 0.001, -0.002, 0.004])
    found = {}
    for size, level in base.items():
        found |= {(size, "real"): level, (size, "placebo_mixed"): level + 0.005}
        found |= {(size, "placebo_synthetic"): level, (size, "synthetic"): level + alone + nothing}
        found |= {(size, "placebo_finetune"): level + 0.01, (size, "finetune"): level + 0.012}
        found[size, "mixed"] = level + 0.005 + (gain if size == "tiny" else nothing)
    return found


def made_up(fabricate, scores=None, **options):
    given = {"arms": ARMS, "placebos": COPIED, "seeds": SEEDS}
    given["scores"] = scores if callable(scores) else by_seed(scores or told())
    given |= options
    return fabricate(**given)


def results_of(fabricate, scores=None, curve=None, **options) -> Results:
    made = made_up(fabricate, scores, **options)
    found = None if curve is None else FoundCurve(curve, "store")
    return assemble(made.plan, made.store, ["cxrbench", "run"], curve=found)


def curve_of(means: Mapping[float, float], *, arms=COPIED, seeds=SEEDS, luck=LUCK, own=0.002) -> PlaceboCurve:
    """A curve whose mean over the five seeds at a size is what is given, with a little noise of each size's own."""
    noise = own * np.array([[1, -1, 2, -2, 0], [-2, 1, 0, 1, 0], [0, 2, -1, 1, -2], [1, 1, -2, -1, 1]])
    points = [
        CurvePoint(arm=arm, size=f"{films:g}", films=films, seed=seed, value=mean + luck[seed] + noise[place % 4][seed])
        for arm in arms
        for place, (films, mean) in enumerate(means.items())
        for seed in seeds
    ]
    return PlaceboCurve(
        task="tiny_task",
        version=1,
        code="t" * 64,
        settings={},
        data=DataIdentity(name="tiny films", digest="d" * 64),
        preset="quick",
        device="cpu",
        metric="dsc",
        points=points,
        environments=[],
        created="2026-03-04T05:06:07Z",
    )


RISING = {2.0: 0.66 - LUCK.mean(), 4.0: 0.70 - LUCK.mean(), 8.0: 0.74 - LUCK.mean(), 16.0: 0.76 - LUCK.mean()}


# ------------------------------------------------------------------------------------------- gains


def test_a_gain_is_the_mean_of_paired_differences_with_their_t_test(fabricate):
    row = results_of(fabricate).gain("tiny", "mixed")
    test = stats.ttest_1samp(GAIN, 0)
    interval = test.confidence_interval(0.95)
    assert (row.metric, row.seeds, row.failed, row.failed_placebo) == ("dsc", 5, [], [])
    assert row.gain == pytest.approx(0.034) and row.median == pytest.approx(0.03)
    assert row.score == pytest.approx(0.739) and row.placebo == pytest.approx(0.705)
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert row.p_t == pytest.approx(test.pvalue) and row.p_permutation == 2 / 2**5
    assert row.p == row.p_t  # every seed says the same: the permutation can say no more
    assert row.verdict == "adds more than copying does" and row.sentence.startswith(row.verdict)
    assert "mean +3.4 over 5 seeds" in row.sentence  # in points, as tables have it


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (-GAIN, "harms"),
        (np.array([0.01, -0.02, 0.015, -0.01, 0.004]), "not told from copying"),
        (np.zeros(5), "adds nothing that copying does not"),
    ],
)
def test_the_verdict_follows_the_differences(fabricate, gain, verdict):
    row = results_of(fabricate, told(gain)).gain("tiny", "mixed")
    assert row.verdict == verdict and row.sentence.startswith(verdict)
    assert row.gain == pytest.approx(gain.mean(), abs=1e-12)
    assert (row.p is None) == (not gain.any())


def test_a_seeds_luck_that_arm_and_placebo_share_cancels(tmp_path):
    calm, wild = (results_of(maker(tmp_path / f"{factor}"), told(luck=factor * LUCK)) for factor in (1, 8))
    for one, other in zip(calm.gains, wild.gains, strict=True):
        assert (one.gain, one.low, one.high, one.p) == pytest.approx((other.gain, other.low, other.high, other.p))
    spread = [next(row.sd for row in run.table if (row.size, row.arm) == ("tiny", "mixed")) for run in (calm, wild)]
    assert spread[1] > 4 * spread[0]


def test_every_arm_and_size_with_a_placebo_has_a_gain_in_the_order_of_the_run(fabricate):
    results = results_of(fabricate, arms=("real", "mixed", "synthetic", "finetune"), placebos=COPIED)
    assert [(row.size, row.arm) for row in results.gains] == [
        (size, arm) for size in ("full", "tiny") for arm in ("mixed", "synthetic")
    ]
    assert results.arms == ["real", "mixed", "synthetic", "finetune"]  # placebos are no arms of the tables


def test_a_missing_placebo_takes_the_gain_of_its_arm_and_size_with_it(fabricate):
    broken = {("tiny", "placebo_mixed", 3): "out of memory", ("full", "mixed", 0): ""}
    results = results_of(fabricate, broken=broken)
    assert [(row.size, row.arm) for row in results.gains] == [("full", "synthetic"), ("tiny", "synthetic")]
    assert not results.complete
    failed = [(cell.arm, cell.message) for cell in results.cells if cell.status == "failed"]
    assert failed == [("placebo_mixed", "train: out of memory")]
    assert results.row("tiny", "placebo_mixed", "dsc", "average").note == "failed 1/5"
    assert results.row("tiny", "mixed", "dsc", "average").value == pytest.approx(0.739)


def test_one_seed_has_a_difference_and_no_claim(fabricate):
    row = results_of(fabricate, seeds=(0,)).gain("tiny", "mixed")
    assert row.gain == pytest.approx(0.03)
    assert row.low is row.high is row.p is row.p_t is row.p_permutation is None and row.verdict == ""
    assert row.sentence == "one seed: these compare two trained models, not the generator (use --seeds 5)"


def test_a_seed_that_found_nothing_is_named_and_stays_in_the_mean(fabricate):
    scores = told()
    scores["tiny", "placebo_mixed"] = scores["tiny", "placebo_mixed"].copy()
    scores["tiny", "placebo_mixed"][2] = 0.1
    row = results_of(fabricate, scores).gain("tiny", "mixed")
    assert row.failed_placebo == [2] and row.failed == []
    lost = scores["tiny", "mixed"][2] - 0.1
    assert row.gain == pytest.approx((GAIN.sum() - GAIN[2] + lost) / 5)
    assert row.median == pytest.approx(0.03)


def test_a_gain_of_a_metric_where_lower_is_better_is_negative_where_it_adds(fabricate, monkeypatch):
    monkeypatch.setattr(TinyTask, "primary", "hd")  # 10 (1 - dsc)
    row = results_of(fabricate).gain("tiny", "mixed")
    assert row.metric == "hd" and row.gain == pytest.approx(-0.34)
    assert row.verdict == "adds more than copying does"


def test_a_gain_needs_an_average_of_all_structures(fabricate):
    def untaught(size, arm, seed, organ):
        scores = by_seed(told())(size, arm, seed, organ)
        return np.full(8, np.nan) if (arm, organ) == ("mixed", "heart") else scores

    results = results_of(fabricate, scores=untaught)
    assert {row.arm for row in results.gains} == {"synthetic"}


def test_rows_are_those_of_the_functions(fabricate):
    made = made_up(fabricate)
    harvest = Harvest(made.plan, made.store)
    assert gain_rows(harvest, seed_values(harvest)) == assemble(made.plan, made.store, []).gains
    assert gain_rows(harvest, []) == []


# ------------------------------------------------------------------------------------------- film by film


def test_arms_are_held_against_their_placebos_film_by_film_as_against_real(fabricate):
    made = made_up(fabricate, seeds=(0,))
    results = assemble(made.plan, made.store, [])
    assert {(row.size, row.arm) for row in results.paired_placebo} == {
        (size, arm) for size in ("full", "tiny") for arm in COPIED
    }
    ours, theirs = (
        made.scores["tiny", "official", arm, 0].query("metric == 'dsc' and structure == 'heart'")["value"].to_numpy()
        for arm in ("mixed", "placebo_mixed")
    )
    row = next(
        one for one in results.paired_placebo if (one.size, one.arm, one.structure) == ("tiny", "mixed", "heart")
    )
    assert row.n == 8 and row.difference == pytest.approx((ours - theirs).mean())
    assert row.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    one_size = sorted((row.p, row.p_holm) for row in results.paired_placebo if row.size == "tiny")
    assert len(one_size) == 2 * 3 and one_size[0][1] == pytest.approx(min(1, 6 * one_size[0][0]))
    assert {row.arm for row in results.paired} == {"synthetic", "mixed"}  # against REAL, without placebos


def test_placebos_leave_what_is_said_against_real_as_it_was(fabricate_once):
    """The paper's tables are what they are without placebos."""
    alone = results_of(fabricate_once, placebos=(), name="a")
    beside = results_of(fabricate_once, name="b")
    for name in ("paired", "fold_tests"):
        assert getattr(alone, name) == getattr(beside, name)
    assert [row.difference for row in alone.seed_tests] == [row.difference for row in beside.seed_tests]
    kept = [row for row in beside.table if not row.arm.startswith("placebo_")]
    assert kept == alone.table and len(beside.table) > len(kept)
    assert alone.gains == alone.paired_placebo == [] and alone.headline is None
    assert tables.terminal(alone).plain.splitlines()[1:5] == tables.terminal(beside).plain.splitlines()[1:5]


# ------------------------------------------------------------------------------------------- worths


def test_a_worth_is_read_off_the_curve_of_its_arm(fabricate):
    """Mixed at tiny scores 0.739 (its three real films are worth three): 2**(2 + 0.039 / 0.04) films of the curve."""
    row = results_of(fabricate, curve=curve_of(RISING)).worth("tiny", "mixed")
    films = 2 ** (2 + (0.739 - 0.70) / 0.04)
    assert row.films == pytest.approx(films) and row.doublings == pytest.approx(math.log2(films / 3))
    assert (row.real, row.synthetic, row.seeds, row.identified, row.censored) == (3.0, 6, 5, True, "")
    assert row.low < films < row.high and row.low_doublings == pytest.approx(math.log2(row.low / 3))
    assert row.sentence.startswith(f"with 3 real films, these synthetic ones act like {films:.1f}")
    assert row.sentence.endswith(f": ×{films / 3:.2g}")
    assert row.high - row.low < 8  # the seeds' luck, which the curve shares, would make it as wide as the curve


def test_a_worth_is_that_of_the_scores_of_the_seeds(fabricate):
    made, curve = made_up(fabricate), curve_of(RISING)
    harvest = Harvest(made.plan, made.store)
    rows = worth_rows(harvest, seed_values(harvest), curve)
    assert [(row.size, row.arm) for row in rows] == [(s, a) for s in ("full", "tiny") for a in COPIED]
    scores = told()
    for row in rows:
        ours = dict(zip(SEEDS, scores[row.size, row.arm], strict=True))
        found = worth(*(lambda arm, ladder, n: (arm, n, ladder))(*aligned(ours, curve.scores(row.arm)), row.real))
        assert row.real == {"full": 8, "tiny": 3}[row.size]
        for name, value in (("films", found.films), ("low", found.low_films), ("high", found.high_films)):
            assert getattr(row, name) == (None if value is None else pytest.approx(value))
        assert (row.identified, row.censored) == (found.identified, found.censored)


def test_synthetic_alone_is_worth_films_alone(fabricate):
    row = results_of(fabricate, curve=curve_of(RISING)).worth("full", "synthetic")
    assert row.films == pytest.approx(4.0, rel=0.05)  # 0.8 - 0.1 + 0.0004
    assert row.sentence.startswith("alone they are worth 4") and "real films" in row.sentence
    assert "×" not in row.sentence


@pytest.mark.parametrize(
    ("means", "side", "said"),
    [
        ({2.0: 0.5, 4.0: 0.55, 8.0: 0.6}, "above", "with 3 real films, these synthetic ones act like more than 8"),
        ({4.0: 0.8, 8.0: 0.85, 16.0: 0.9}, "below", "with 3 real films, these synthetic ones act like less than 4"),
    ],
)
def test_beyond_the_curve_there_is_a_bound_and_no_number(fabricate, means, side, said):
    row = results_of(fabricate, curve=curve_of(means)).worth("tiny", "mixed")
    assert (row.censored, row.films, row.doublings, row.identified) == (side, None, None, True)
    assert row.sentence.startswith(said)


def test_where_the_curve_is_flat_there_is_no_number(fabricate):
    flat = {2.0: 0.5, 8.0: 0.738, 16.0: 0.7381, 32.0: 0.7382}
    row = results_of(fabricate, curve=curve_of(flat)).worth("tiny", "mixed")
    assert not row.identified and row.films is None and row.doublings is None
    assert row.sentence.startswith("not identified: ") and not re.search("act like", row.sentence)


def test_an_arm_without_a_curve_and_a_curve_of_one_size_give_no_worth(fabricate_once):
    of_mixed = results_of(fabricate_once, curve=curve_of(RISING, arms=("mixed",)), name="a")
    assert {row.arm for row in of_mixed.worths} == {"mixed"}
    of_one_size = results_of(fabricate_once, curve=curve_of({4.0: 0.7}), name="b")
    assert of_one_size.worths == [] and of_one_size.curve is not None
    assert results_of(fabricate_once, name="c").worths == []


def test_a_worth_needs_the_count_of_real_films_that_old_records_lack(fabricate):
    made = made_up(fabricate)
    for cell in made.plan.cells:
        path = made.store.path(Level.RECORDS, cell.key) / "record.json"
        told_so = json.loads(path.read_text())
        del told_so["downstream"]["real_films"]
        path.write_text(json.dumps(told_so))
    results = assemble(made.plan, made.store, [], curve=FoundCurve(curve_of(RISING), "store"))
    assert results.worths == [] and len(results.gains) == 4


def test_seeds_that_the_curve_lacks_count_and_one_seed_says_so(fabricate_once):
    lacking = results_of(fabricate_once, curve=curve_of(RISING, seeds=(0, 1, 2)), name="a").worth("tiny", "mixed")
    assert lacking.seeds == 5 and lacking.films is not None
    one = results_of(fabricate_once, curve=curve_of(RISING), seeds=(0,), name="b").worth("tiny", "mixed")
    assert one.low is one.high is None and one.seeds == 1
    assert "one seed: no interval" in one.sentence


# ------------------------------------------------------------------------------------------- what is kept


def test_results_with_gains_worths_and_curve_survive_their_json_and_older_ones_are_read(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    text = results.model_dump_json(by_alias=True)
    assert Results.model_validate_json(text) == results
    json.loads(text, parse_constant=pytest.fail)
    old = json.loads(text)
    for name in ("gains", "worths", "curve", "paired_placebo"):
        del old[name]
    del old["task"]["headline"]
    read = Results.model_validate(old)
    assert read.gains == read.worths == read.paired_placebo == [] and read.curve is None and read.headline is None
    assert "gain over copies" not in tables.as_markdown(read)


# ------------------------------------------------------------------------------------------- the headline


def with_headline(results: Results, arm: str, size: str) -> Results:
    task = results.task.model_copy(update={"headline": HeadlineInfo(arm=arm, size=size)})
    return results.model_copy(update={"task": task})


def test_the_headline_is_the_tasks_where_the_run_has_it_else_its_arm_at_the_largest_size_else_the_first(
    fabricate, monkeypatch
):
    results = results_of(fabricate)
    assert results.task.headline == HeadlineInfo(arm="mixed", size="tiny")
    assert results.headline == ("tiny", "mixed")
    for size, arm in (("full", "synthetic"), ("full", "mixed"), ("tiny", "synthetic")):
        assert with_headline(results, arm, size).headline == (size, arm)
    assert with_headline(results, "mixed", "31").headline == ("full", "mixed")
    assert with_headline(results, "finetune", "tiny").headline == ("full", "synthetic")
    assert results.model_copy(update={"gains": []}).headline is None
    monkeypatch.setattr(TinyTask, "headline", None)
    without = results_of(fabricate, name="again")
    assert without.task.headline is None and without.headline == ("full", "synthetic")


# ------------------------------------------------------------------------------------------- words


def said_of(results: Results) -> list[str]:
    return headline_sentences(results)


def test_five_seeds_say_the_gain_with_interval_verdict_and_worth(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    first, alone, curve = said_of(results)
    row, read = results.gain("tiny", "mixed"), results.worth("tiny", "mixed")
    assert first.startswith("my_gan, mixed at tiny (3 + 6 films): +3.40 points of DSC over copies (95 % interval ")
    assert f"{100 * row.low:+.2f} to {100 * row.high:+.2f}, p = {row.p:.4f}, 5 seeds): " in first
    assert "): adds more than copying does; with 3 real films, these synthetic ones act like" in first
    assert first.endswith(read.sentence)
    assert alone == f"SYNTHETIC at tiny: {results.worth('tiny', 'synthetic').sentence}"
    assert curve == "curve: in the store, 5 seeds, tiny films, made 2026-03-04"


def test_one_seed_claims_nothing(fabricate):
    first, *_ = said_of(results_of(fabricate, seeds=(0,), curve=curve_of(RISING)))
    assert "+3.00 points of DSC over copies; one seed: these compare two trained models, not the generator" in first
    assert not any(word in first for word in ("adds more", "harms", "not told", "adds nothing", " p "))


def test_at_80_columns_gain_and_worth_stand_in_one_table(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    lines = tables.terminal(results, 80).plain.splitlines()
    (heading,) = [line for line in lines if line.startswith("size") and "interval" in line]
    assert "worth" in heading and "score" not in heading and max(map(len, lines)) <= 80
    wide = tables.terminal(results, 120).plain
    assert re.search(r"real \+ synthetic +score +copies +gain over copies +95 % interval +p +worth", wide)


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ({2.0: 0.5, 4.0: 0.55, 8.0: 0.6}, "act like more than 8"),
        ({2.0: 0.5, 8.0: 0.738, 16.0: 0.7381, 32.0: 0.7382}, "; not identified: "),
    ],
)
def test_bounds_and_what_is_not_identified_are_said_as_such(fabricate, means, said):
    results = results_of(fabricate, curve=curve_of(means))
    assert said in said_of(results)[0]
    assert not re.search(r"act like \d", said_of(results)[0])


def test_without_a_curve_it_says_how_to_make_one(fabricate):
    *_, last = said_of(results_of(fabricate))
    assert last == "worth: no curve of tiny_task v1 on tiny films at quick with these settings"
    told = results_of(fabricate).model_copy(update={"curve_command": ["cxrbench", "curve", "--data", "tiny films"]})
    makes = "; this makes it, and the same run again tells the worth:\ncxrbench curve --data 'tiny films'"
    assert said_of(told)[-1] == last + makes


def test_of_a_smoke_run_no_curve_is_asked_for(fabricate):
    said = said_of(results_of(fabricate).model_copy(update={"preset": "quick-smoke"}))
    assert said[-1] == "worth: not asked of a smoke run" and "cxrbench curve" not in " ".join(said)


def test_a_shipped_curve_is_told_as_such(fabricate):
    made = made_up(fabricate)
    results = assemble(made.plan, made.store, [], curve=FoundCurve(curve_of(RISING), "shipped"))
    assert said_of(results)[-1] == "curve: shipped with the task, 5 seeds, tiny films, made 2026-03-04"


def test_without_any_gain_there_is_no_sentence_and_no_table(fabricate):
    results = results_of(fabricate, placebos=(), arms=("real", "synthetic", "finetune"))
    assert said_of(results) == [] and gain_lines(results) == []
    assert placebo_notes(results) == [
        "FINETUNE trains on synthetic films and then as long as REAL: its difference from REAL includes longer training"
    ]
    for text in (tables.terminal(results).plain, tables.as_markdown(results), tables.as_latex(results)):
        assert "gain over copies" not in text and "includes longer training" in " ".join(text.split())


def test_failed_seeds_are_said_beside_the_verdict(fabricate):
    scores = told()
    scores["tiny", "mixed"] = scores["tiny", "mixed"].copy()
    scores["tiny", "mixed"][1] = 0.2
    first, *_ = said_of(results_of(fabricate, scores))
    assert (
        "not told from copying; the arm's training of seed 1 scored far below the others (kept in the mean; median +"
        in first
    )


def test_the_lines_of_the_table_are_the_rows_in_text(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    lines = gain_lines(results)
    assert [line.headline for line in lines] == [False, False, False, True]
    assert all(len(line.cells) == len(HEADINGS) for line in lines)
    row = results.gain("tiny", "mixed")
    size, arm, films, score, copied, gain, interval, p, value = lines[-1].cells
    assert (size, arm, films, score, copied, gain) == ("tiny", "MIXED", "3 + 6", "73.90", "70.50", "+3.40")
    assert interval == f"+{100 * row.low:.2f} to +{100 * row.high:.2f}" and p == f"{row.p:.4f}"
    assert value == worth_cell(results.worth("tiny", "mixed"))
    of_synthetic = lines[0].cells
    assert of_synthetic[:3] == ("full", "SYNTHETIC", "0 + 6")
    assert of_synthetic[5].startswith("\N{MINUS SIGN}")
    bare = gain_lines(results_of(fabricate, seeds=(0,), name="one"))[-1].cells
    assert bare[6:] == ("–", "–", "–")


def a_worth(**changed) -> WorthRow:
    told_so = {"size": "tiny", "arm": "mixed", "real": 31.0, "synthetic": 62, "seeds": 5, "identified": True}
    told_so |= {"smallest": 4.0, "largest": 124.0}
    return WorthRow(**told_so | {"sentence": ""} | changed)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (None, "–"),
        (a_worth(identified=False), "not identified"),
        (a_worth(films=50.2, low=36.0, high=71.4), "50 (36 to 71)"),
        (a_worth(films=5.25, low=4.0, high=6.6, low_censored=True), "5.2 (< 4 to 6.6)"),
        (a_worth(films=100.0, low=60.0, high=124.0, high_censored=True), "100 (60 to > 124)"),
        (a_worth(films=31.0, low=31.0, high=31.0), "31"),
        (a_worth(films=50.0), "50"),
        (a_worth(censored="above", low=90.0, high=124.0, high_censored=True), "> 124"),
        (a_worth(censored="above", low=124.0, high=124.0, high_censored=True), "> 124"),
        (a_worth(censored="above"), "> 124"),
        (a_worth(censored="below"), "< 4"),
        (a_worth(censored="below", low=4.0, high=6.0, low_censored=True), "< 4"),
    ],
)
def test_a_worth_in_a_table_is_a_number_a_bound_or_words(row, text):
    assert worth_cell(row) == text


# ------------------------------------------------------------------------------------------- tables, page, figures


def test_terminal_markdown_and_latex_have_the_table_the_sentence_and_what_a_gain_is(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    terminal, markdown, latex = (
        tables.terminal(results, 140).plain,
        tables.as_markdown(results),
        tables.as_latex(results),
    )
    for line in gain_lines(results):
        assert re.search(r" {2,}".join(map(re.escape, line.cells)), terminal)
        assert (
            "| " + " | ".join(cell.replace("<", "&lt;").replace(">", "&gt;") for cell in line.cells) + " |" in markdown
        )
    for sentence in (*headline_sentences(results), *placebo_notes(results)):
        assert sentence in " ".join(terminal.split())
        assert f"- {sentence}" in markdown.replace("\\_", "_").replace("&lt;", "<").replace("&gt;", ">")
    assert r"real + synthetic & score & copies & gain over copies & 95 \% interval & p & worth \\" in latex
    assert r"tiny & MIXED & 3 + 6 & 73.90 & 70.50 & +3.40 &" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert "adds more than copying does" in latex.split(r"\caption")[1].splitlines()[0]


def test_names_cannot_break_the_table_of_gains(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING), name="a|b_c & 50% <b>\x1b[31m")
    assert "\x1b" not in tables.terminal(results).plain + tables.as_markdown(results) + tables.as_latex(results)
    rows = [line for line in tables.as_markdown(results).splitlines() if line.startswith(("| tiny", "| full"))]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(HEADINGS) + 1}
    assert "<b>" not in tables.as_markdown(results)


def test_a_size_shows_the_arms_that_it_has(fabricate):
    """As scr_official, whose full size has no mixed arm: no empty columns, and nothing is missing."""
    made = made_up(fabricate, seeds=(0,))
    left = [cell for cell in made.plan.cells if (cell.slot.size, cell.identity.arm) != ("full", "mixed")]
    results = assemble(replace(made.plan, cells=tuple(left)), made.store, [])
    assert results.complete and [results.arms_of(size) for size in ("full", "tiny")] == [
        ["real", "synthetic"],
        ["real", "synthetic", "mixed"],
    ]
    assert results.row("full", "mixed", "dsc", "average").note == "not planned"
    text = tables.terminal(results, 140).plain.splitlines()
    assert text[1].split() == ["REAL", "SYNTHETIC", "REAL", "SYNTHETIC", "MIXED"]
    head = tables.as_markdown(results).splitlines()[0]
    assert head.count("MIXED") == 1 and head.count("SYNTHETIC") == 2
    latex = tables.as_latex(results)
    assert r"\cmidrule(lr){3-4}\cmidrule(lr){5-7}" in latex and r"\multicolumn{2}{c}" in latex
    assert not any("not planned" in shown for shown in (*text, tables.as_markdown(results), latex))


def test_csv_has_placebos_as_arms_of_their_own(fabricate):
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(results_of(fabricate)))))
    assert {row["arm"] for row in rows} == {*ARMS, "placebo_synthetic", "placebo_mixed"}
    value = next(
        float(row["value"])
        for row in rows
        if (row["size"], row["arm"], row["metric"], row["structure"]) == ("tiny", "placebo_mixed", "dsc", "average")
    )
    assert value == pytest.approx(0.705)


def test_the_page_has_the_table_the_sentence_and_the_ladder_of_every_arm(fabricate, tmp_path):
    made = made_up(fabricate)
    results = assemble(made.plan, made.store, ["cxrbench", "run"], curve=FoundCurve(curve_of(RISING), "store"))
    write_run(tmp_path / "run", results, made.plan, made.store)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="gain"') : page.index('<section id="table"')]
    assert '<a href="#gain">Gain and worth</a>' in page
    for line in gain_lines(results):
        for cell in line.cells:
            assert f">{cell}<" in section.replace("&lt;", "<").replace("&gt;", ">")
    assert "<strong>+3.40</strong>" in section and section.count("<strong>") == len(HEADINGS) - 1  # the headline's
    assert section.count("<svg") == 2 and results.worth("tiny", "mixed").sentence in section
    assert headline_sentences(results)[0] in page[: page.index('<section id="gain"')]
    assert "12 paired tests against copies" in page
    for name in ("worth-mixed.svg", "worth-mixed.png", "worth-synthetic.svg"):
        assert (tmp_path / "run" / "figures" / name).is_file()
    assert load_run(tmp_path / "run") == results


def test_a_page_without_placebos_has_no_such_section(fabricate, tmp_path):
    made = fabricate(sizes=("full",), arms=("real", "synthetic"))
    results = assemble(made.plan, made.store, ["cxrbench", "run"])
    write_run(tmp_path / "run", results, made.plan, made.store)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'id="gain"' not in page and "against copies" not in page


METRIC = MetricInfo(name="dsc", label="DSC", percent=True)


def test_the_figure_has_a_dot_a_seed_a_rising_line_and_the_marks_of_arms():
    falling = {2.0: 0.66, 4.0: 0.72, 8.0: 0.70, 16.0: 0.76}
    gain = GainRow(size="tiny", arm="mixed", metric="dsc", seeds=5, score=0.73, sentence="")
    row = a_worth(real=3.0, films=6.0, low=5.0, high=8.0)
    figure = curve_figure(curve_of(falling), METRIC, arms=["mixed"], marks=[(gain, row)])
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["copies, mixed", "MIXED, 3 real films"]
    heights = lines["copies, mixed"].get_ydata()
    assert lines["copies, mixed"].get_xdata() == pytest.approx([2, 4, 8, 16])
    assert (np.diff(heights) >= 0).all() and heights[1] == pytest.approx(heights[2])  # 72 and 70 are made one
    dots = [line for line in axes.get_lines() if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [5, 5, 5, 5]
    assert (lines["MIXED, 3 real films"].get_xdata()[0], lines["MIXED, 3 real films"].get_ydata()[0]) == (3.0, 73.0)
    assert axes.get_xscale() == "log" and axes.get_ylabel().startswith("DSC")
    (arrow,) = axes.texts
    assert (arrow.xy, arrow.xyann) == ((6.0, 73.0), (3.0, 73.0))
    assert len(curve_figure(curve_of(falling), METRIC).legends[0].get_texts()) == 2


@pytest.mark.parametrize(("sizes", "doubled"), [((4, 8, 15, 31), True), ((9, 19, 38, 75, 300), False)])
def test_a_step_of_the_axis_doubles_the_films_only_where_it_does(sizes, doubled):
    figure = curve_figure(curve_of({float(size): 0.5 + size / 1000 for size in sizes}), METRIC)
    assert ("each step to the right doubles them" in figure.axes[0].get_xlabel()) == doubled


def test_a_curve_of_a_metric_where_lower_is_better_falls():
    figure = curve_figure(curve_of({2.0: 0.9, 4.0: 0.6, 8.0: 0.7}), replace_metric(), arms=["mixed"])
    heights = next(line for line in figure.axes[0].get_lines() if line.get_label() == "copies, mixed").get_ydata()
    assert (np.diff(heights) <= 0).all()


def replace_metric() -> MetricInfo:
    return METRIC.model_copy(update={"higher_is_better": False, "percent": False})


def test_a_curve_as_text_has_a_line_a_size_and_a_column_an_arm():
    curve = curve_of({2.0: 0.66, 6.5: 0.72}, own=0.0)
    one = curve.model_copy(update={"points": [*curve.points[:-1]]})
    lines = list(curve_lines(one, METRIC))
    spread = np.std(LUCK, ddof=1)
    assert lines[1].split() == ["real", "films", "copies,", "synthetic", "copies,", "mixed"]
    assert lines[3].split() == ["2", "66.00", "±", f"{100 * spread:.2f}", "66.00", "±", f"{100 * spread:.2f}"]
    assert lines[2].split()[:4] == ["6", "72.00", "±", f"{100 * spread:.2f}"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_trainings_of_a_curve_that_failed_are_said():
    curve = curve_of({2.0: 0.66, 6.5: 0.72}, arms=("mixed",), own=0.0)
    assert not any("far below" in line for line in curve_lines(curve, METRIC))
    lost = [
        point.model_copy(update={"value": 0.2}) if point.films == 6.5 and point.seed in (1, 3) else point
        for point in curve.points
    ]
    *_, last = curve_lines(curve.model_copy(update={"points": lost}), METRIC)
    assert "copies, mixed: trainings that scored far below the others" in last and "6 films: seeds 1, 3" in last


def test_the_scores_of_a_curve_are_by_the_mean_films_of_a_size():
    curve = curve_of({2.0: 0.66, 4.0: 0.7}, arms=("mixed",), own=0.0)
    moved = [
        point.model_copy(update={"films": 5.0}) if (point.size, point.seed) == ("4", 0) else point
        for point in curve.points
    ]
    found = curve.model_copy(update={"points": moved})
    assert list(found.scores("mixed")) == pytest.approx([2.0, 4.2])
    assert found.scores("finetune") == {} and found.seeds == [*SEEDS] and found.arms == ["mixed"]


@pytest.mark.parametrize(
    ("gain", "doublings", "better", "said"),
    [
        (0.2, -0.2, 1, "says more and the worth fewer"),
        (-0.2, 0.2, 1, "says less and the worth more"),
        (-0.2, -0.2, -1, "says more and the worth fewer"),
        (0.2, 0.2, 1, ""),
        (-0.2, -0.2, 1, ""),
        (0.2, None, 1, ""),
    ],
)
def test_a_gain_and_a_worth_that_point_apart_say_why(gain, doublings, better, said):
    row = GainRow.model_construct(gain=gain)
    worth = WorthRow.model_construct(doublings=doublings)
    found = _other_way(row, worth, better=better)
    assert said in found and bool(found) == bool(said)
