"""Two runs against each other: the same films, hand-computed differences, claims over seeds alone, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from cxrbench.benchmark.cli.report import compare as compare_command
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report.comparison import Run, compare, find_pair
from cxrbench.benchmark.report.comparison_gains import gain_table
from cxrbench.benchmark.report.comparison_words import in_words
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import Harvest, assemble
from cxrbench.benchmark.results.folder import write_results

SPREAD = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 100


@pytest.fixture
def run_of(fabricate, tmp_path):
    """Write the run of a provider to `runs/<name>` and open it."""

    def make(name, *, folder=None, shift=0.0, created=None, **options):
        def scores(size, arm, seed, organ):
            own = 0 if arm == "real" else shift
            return 0.8 + SPREAD + own * (1 + SPREAD * 4) + 0.003 * np.sin(seed + len(name) * (arm != "real"))

        made = fabricate(name=name, scores=options.pop("scores", scores), **options)
        results = assemble(made.plan, made.store, [])
        if created:
            results = results.model_copy(update={"created": created})
        target = tmp_path / "runs" / (folder or name)
        write_numbers(target, Harvest(made.plan, made.store))
        write_results(target, results)
        return Run.open(target)

    return make


def test_differences_are_a_minus_b_and_tests_are_scipys(run_of):
    a, b = run_of("vae", shift=0.05), run_of("lsgan", shift=0.02)
    found = compare(a, b)
    row = next(r for r in found.rows if (r.size, r.arm, r.metric, r.structure) == ("full", "synthetic", "dsc", "heart"))
    ours, theirs = (
        run.scores().query("size == 'full' and arm == 'synthetic' and metric == 'dsc' and structure == 'heart'")[
            "value"
        ]
        for run in (a, b)
    )
    assert row.a == pytest.approx(ours.mean()) and row.b == pytest.approx(theirs.mean())
    assert row.difference == pytest.approx(row.a - row.b)
    assert row.n == 8
    assert row.case_difference == pytest.approx((ours.to_numpy() - theirs.to_numpy()).mean())
    assert row.p == pytest.approx(stats.ttest_rel(ours.to_numpy(), theirs.to_numpy()).pvalue)
    assert row.p_holm >= row.p
    assert {row.arm for row in found.rows} == {"synthetic", "finetune"}


def test_one_seed_allows_no_claim(run_of):
    found = compare(run_of("vae", shift=0.05), run_of("lsgan"))
    assert {claim.sentence for claim in found.claims} == {
        "one seed: these compare two trained models, not the generator (use --seeds 5)"
    }
    assert all(claim.p is None for claim in found.claims)


def test_five_seeds_each_allow_a_claim_by_welch(run_of):
    few = {"seeds": (0, 1, 2, 3, 4), "sizes": ("full",), "arms": ("real", "synthetic")}
    a, b = run_of("vae", shift=0.05, **few), run_of("lsgan", **few)
    claim = next(c for c in compare(a, b).claims if (c.size, c.arm) == ("full", "synthetic"))

    def averages(run):
        chosen = run.scores().query("size == 'full' and arm == 'synthetic' and metric == 'dsc'")
        return chosen.groupby("seed")["value"].mean()

    assert claim.p == pytest.approx(stats.ttest_ind(averages(a), averages(b), equal_var=False).pvalue)
    assert claim.sentence.startswith("vae scores higher than lsgan over 5 seeds each")


def test_case_scores_are_paired_on_the_seeds_that_both_have(run_of):
    a, b = run_of("vae", shift=0.05, seeds=(0, 1)), run_of("lsgan", seeds=(0,))
    found = compare(a, b)
    assert "paired tests on the seeds that both have: 0" in found.notes
    row = next(r for r in found.rows if (r.arm, r.metric, r.structure) == ("synthetic", "dsc", "heart"))
    at_0 = a.scores().query("seed == 0 and size == 'full' and arm == 'synthetic' and metric == 'dsc'")
    theirs = b.scores().query("size == 'full' and arm == 'synthetic' and metric == 'dsc'")
    expected = (
        at_0[at_0["structure"] == "heart"]["value"].mean() - theirs[theirs["structure"] == "heart"]["value"].mean()
    )
    assert row.case_difference == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"preset": "standard"}, "preset quick and preset standard"),
        ({"version": 2}, "task version 1 and task version 2"),
        ({"data_digest": "e" * 64}, "dataset tiny films"),
    ],
)
def test_what_never_shares_a_table_is_refused_in_one_line(run_of, change, word):
    with pytest.raises(InputError, match=word) as caught:
        compare(run_of("vae"), run_of("lsgan", **change))
    assert "different presets or datasets never share a table" in str(caught.value)
    assert "\n" not in str(caught.value)


def with_task(run, **update):
    task = run.results.task.model_copy(update=update)
    return Run(run.folder, run.results.model_copy(update={"task": task}))


def test_another_task_is_refused(run_of):
    with pytest.raises(InputError, match="task tiny_task and task other_task cannot be compared"):
        compare(run_of("vae"), with_task(run_of("lsgan"), name="other_task"))


def test_of_other_task_settings_real_alone_is_compared_and_what_differs_is_said(run_of):
    a = with_task(run_of("vae", shift=0.05), settings={"net": {"steps": 5}, "rate": 1})
    b = with_task(run_of("lsgan"), settings={"net": {"steps": 7}, "rate": 1})
    found = compare(a, b)
    assert {row.arm for row in found.rows} == {"real"} and found.differing == {"net.steps": ("5", "7")}
    assert "(net.steps: 5 and 7): REAL is compared with REAL" in " ".join(in_words(found, a.results).split())


def test_a_missing_cell_is_missing_in_the_comparison(run_of):
    found = compare(run_of("vae"), run_of("lsgan", broken={("full", "synthetic", 0): "no memory"}))
    row = next(r for r in found.rows if (r.size, r.arm, r.metric) == ("full", "synthetic", "dsc"))
    assert (row.b, row.difference, row.p, row.note) == (None, None, None, "failed")
    assert any("1 of 6 cells are not there" in note for note in found.notes)


def test_two_runs_of_one_provider_are_told_apart_by_their_folders(run_of):
    a, b = run_of("vae", folder="first"), run_of("vae", folder="second")
    found = compare(a, b)
    assert (found.a.label, found.b.label) == ("first", "second")
    row = next(r for r in found.rows if r.metric == "dsc")
    assert row.difference == 0 and row.p is None and "identical" in row.note


def test_a_provider_means_its_newest_run_that_fits_the_other(run_of, tmp_path):
    root = tmp_path / "runs"
    run_of("vae", folder="broken", broken={("full", "real", 0): "x"}, created="2026-01-04T00:00:00Z")
    run_of("vae", folder="old", created="2026-01-01T00:00:00Z")
    run_of("vae", folder="new", created="2026-01-02T00:00:00Z")
    run_of("vae", folder="newest-standard", preset="standard", created="2026-01-03T00:00:00Z")
    run_of("lsgan", folder="other", created="2026-01-01T00:00:00Z")
    a, b = find_pair("vae", "lsgan", root=root)
    assert (a.folder.name, b.folder.name) == ("new", "other")
    a, _ = find_pair("vae", str(root / "other"), root=root, preset="quick")
    assert a.folder.name == "new"
    with pytest.raises(InputError, match=r"no complete run of lsgan on standard; it has tiny_task quick"):
        find_pair("vae", "lsgan", root=root, preset="standard")
    with pytest.raises(InputError, match=r"unknown run 'lsgam'. Did you mean lsgan\?"):
        find_pair("lsgam", "vae", root=root)
    with pytest.raises(InputError, match="neither the folder of a run nor a provider"):
        find_pair("vae", "lsgan", root=tmp_path / "elsewhere")


def test_the_words_hold_numbers_tests_and_the_claim(run_of):
    a, b = run_of("vae", shift=0.05), run_of("lsgan", shift=0.02)
    found = compare(a, b)
    text = in_words(found, a.results)
    row = next(r for r in found.rows if (r.size, r.arm, r.metric, r.structure) == ("full", "synthetic", "dsc", "heart"))
    line = next(line for line in text.splitlines() if "heart" in line)
    assert f"{row.a * 100:.2f}" in line and f"{row.difference * 100:+.2f}" in line
    assert "full (8 films), SYNTHETIC" in text
    assert text.count("one seed: these compare two trained models") == 1
    assert max(map(len, text.splitlines())) <= 120


def test_the_command_takes_folders_and_prints_json(run_of, tmp_path):
    a, b = run_of("vae", shift=0.05), run_of("lsgan")
    app = typer.Typer()
    app.command()(compare_command)
    outcome = CliRunner().invoke(app, [str(a.folder), str(b.folder), "--json"])
    assert outcome.exit_code == 0, outcome.output
    printed = json.loads(outcome.output, parse_constant=pytest.fail)
    assert printed["a"]["label"] == "vae" and printed["schema"] == 1
    words = CliRunner().invoke(app, ["vae", "lsgan", "--runs", str(tmp_path / "runs")])
    assert words.output.startswith("vae against lsgan · tiny_task v1 · quick · data: tiny films")


# ------------------------------------------------------------------------------------------- gains over copies

SEEDS = (0, 1, 2, 3, 4)
LUCK = np.array([0.01, -0.02, 0.005, 0.015, -0.01])
GAINS = {
    "vae": np.array([0.031, 0.024, 0.035, 0.028, 0.032]),
    "lsgan": np.array([0.011, 0.009, 0.012, 0.004, 0.014]),
    "gan": np.array([0.026, 0.029, 0.033, 0.03, 0.031]),
}


def gained(run_of, name, *, folder=None, seeds=SEEDS, placebos=("mixed",), gain=None):
    """A run whose mixed arm adds GAINS to the copies' score, seed by seed."""

    def scores(size, arm, seed, organ):
        own = (GAINS[name] if gain is None else gain)[seed] if arm == "mixed" else 0
        return 0.8 + LUCK[seed] + own + SPREAD

    return run_of(name, folder=folder, scores=scores, arms=("real", "mixed"), placebos=placebos, seeds=seeds)


def test_runs_with_placebos_are_compared_by_seed_and_not_by_welch(run_of):
    a, b = gained(run_of, "vae"), gained(run_of, "lsgan")
    found = compare(a, b)
    assert [(row.size, row.arm) for row in found.gains] == [("full", "mixed"), ("tiny", "mixed")]
    row, difference = found.gains[1], GAINS["vae"] - GAINS["lsgan"]
    test = stats.ttest_1samp(difference, 0)
    assert row.difference == pytest.approx(difference.mean()) and row.seeds == 5
    assert (row.gain_a, row.gain_b) == pytest.approx((GAINS["vae"].mean(), GAINS["lsgan"].mean()))
    assert row.p == pytest.approx(test.pvalue)
    interval = test.confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert row.sentence == f"vae adds more (p = {row.p:.2g}, paired over seeds)"
    back = compare(b, a).gains[1]
    assert back.difference == pytest.approx(-row.difference) and back.sentence == row.sentence
    text = in_words(found, a.results)
    assert row.sentence in text and "gain over copies, DSC" in text and "+3.00" in text and "+1.00" in text
    assert "+2.00 (" in text and "over 5 seeds each" not in text  # Welch says nothing of what is paired


def test_gains_that_are_not_told_apart_are_said_so(run_of):
    (row, _) = compare(gained(run_of, "vae"), gained(run_of, "gan")).gains
    assert row.p > 0.05
    assert row.sentence == f"no difference shown between vae and gan (p = {row.p:.2g}, paired over seeds)"


def test_runs_with_the_same_scores_are_said_to_have_them(run_of):
    (row, _) = compare(gained(run_of, "vae"), gained(run_of, "gan", gain=GAINS["vae"])).gains
    assert row.difference == 0 and row.sentence == "vae and gan score the same"


def test_only_seeds_that_both_have_are_paired_and_few_of_them_claim_nothing(run_of):
    (row, _) = compare(gained(run_of, "vae"), gained(run_of, "lsgan", seeds=(1, 2))).gains
    assert row.seeds == 2 and row.p is row.low is None
    assert row.difference == pytest.approx((GAINS["vae"] - GAINS["lsgan"])[[1, 2]].mean())
    assert "adds more" not in row.sentence and "2 seeds" in row.sentence


def test_a_row_says_of_which_seeds_each_of_its_numbers_is(run_of):
    a, b = gained(run_of, "vae"), gained(run_of, "lsgan", seeds=(1, 2))
    (row, _) = compare(a, b).gains
    _, line = gain_table([row], a.results, ("vae", "lsgan"))
    assert line[2].endswith(", 5 seeds") and line[3].endswith(", 2 seeds") and line[4].endswith(", the 2 seeds of both")
    (same, _) = compare(a, gained(run_of, "gan")).gains
    assert not any("seed" in cell for cell in list(gain_table([same], a.results, ("vae", "gan")))[1])


def test_a_run_without_placebos_is_compared_as_before(run_of):
    found = compare(gained(run_of, "vae"), gained(run_of, "lsgan", placebos=()))
    assert found.gains == [] and {claim.arm for claim in found.claims} == {"mixed"}
    assert all("over 5 seeds each" in claim.sentence for claim in found.claims)
