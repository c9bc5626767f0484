"""The table for people and programs: numbers by hand, marks, missing cells, and names that try to break the format."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from cxrbench.benchmark.report import text_tables as tables
from cxrbench.benchmark.report import words as wording
from cxrbench.benchmark.report.gain_words import headline_sentences
from cxrbench.benchmark.report.latex import caption_sentences, latex_escaped
from cxrbench.benchmark.report.table_shapes import wide
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.rows import CheckRow, MetricInfo, TableRow

HOSTILE = r"a_b & 50% $x^2$ #{~} \end{table} | <script>alert(1)</script> **"


def results_of(fabricate, **options):
    made = fabricate(**options)
    return assemble(made.plan, made.store, ["cxrbench", "run"])


def level(size, arm, seed, organ):
    """Case scores with a mean of exactly 0.9, 0.7 or 0.92 and a spread."""
    mean = {"real": 0.9, "synthetic": 0.7, "finetune": 0.92}[arm]
    wave = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 400
    return mean + (wave if arm == "real" else wave[::-1] * 0.5)


def test_percent_metrics_are_shown_times_100():
    dsc = MetricInfo(name="dsc", label="DSC", percent=True)
    assert wording.shown(0.97189, dsc) == "97.19"
    assert wording.shown(-0.0123, dsc, signed=True) == "\N{MINUS SIGN}1.23"
    assert wording.shown(12.345, MetricInfo(name="hd", label="HD", decimals=1)) == "12.3"
    assert wording.shown(None, dsc) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "0:10"), (58, "0:58"), (3725, "1:02:05")]
)
def test_durations_read_like_a_clock(seconds, text):
    assert wording.duration(seconds) == text


def test_amounts_and_memory_have_units():
    assert [wording.amount(n) for n in (0, 312, 12_345, 1_234_567)] == ["0", "312", "12.3 k", "1.2 M"]
    assert [wording.memory(n) for n in (90_000_000, 900_000_000)] == ["90 MB", "0.9 GB"]
    assert [wording.rate(x) for x in (None, 3.14, 312.4, 12345.0)] == ["–", "3.1", "312", "12,345"]


def test_terminal_table_has_the_numbers_stars_legend_and_cost(fabricate):
    text = tables.terminal(results_of(fabricate, scores=level), 110).plain
    lines = text.splitlines()
    assert re.search(r"full \(8 films\).*tiny \(3 films\)", lines[0])
    assert lines[1].split() == ["REAL", "SYNTHETIC", "FINETUNE"] * 2
    assert lines[2].split() == ["DSC", "left", "lung", *["90.00", "70.00", "**", "92.00", "**"] * 2]
    assert lines[4].split()[0] == "average"
    assert "stars are those of the papers, for trained models and not for generators" in text
    assert "against REAL on the same 8 films: ** p < 0.01, * p < 0.05" in " ".join(text.split())
    assert "one seed: these compare two trained models, not the generator (use --seeds 5)" in text
    assert "1.2 M parameters · fit 0:58" in text and "samples 312 films/s · peak 0.9 GB" in text


def test_a_mean_of_counts_has_a_decimal_and_a_sum_is_not_called_an_average(fabricate):
    results = results_of(fabricate, scores=level, sizes=("full",), arms=("real",))
    count = MetricInfo(name="missed", label="missed organs", higher_is_better=False, decimals=0)
    values = {"left_lung": 0.2, "heart": 0.4, "average": 0.6}
    rows = [
        TableRow(size="full", arm="real", metric="missed", structure=name, value=value, sd=0.5, seeds=5)
        for name, value in values.items()
    ]
    task = results.task.model_copy(update={"metrics": [*results.task.metrics, count]})
    lines = wide(results.model_copy(update={"task": task, "table": [*results.table, *rows]}))
    said = [(line.label, line.entries["full"]["real"].text) for line in lines if line.metric == count]
    assert said == [("left lung", "0.2 ± 0.5"), ("heart", "0.4 ± 0.5"), ("in all", "0.6 ± 0.5")]
    assert "average" in [line.label for line in lines if line.metric != count]


def test_numbers_end_below_the_names_of_their_arms(fabricate):
    lines = tables.terminal(results_of(fabricate, scores=level), 110).plain.splitlines()
    ends = [match.end() for match in re.finditer(r"[A-Z]+", lines[1])]
    assert [match.end() for match in re.finditer(r"\d+\.\d+", lines[2])] == ends


@pytest.mark.parametrize("width", [80, 100, 120])
def test_terminal_table_fits_the_width(fabricate, width):
    text = tables.terminal(results_of(fabricate, seeds=(0, 1), sizes=("full", "tiny", "mini", "nano")), width).plain
    table = text.split("\ncost ")[0]  # with its legend
    assert max(map(len, table.splitlines())) <= width
    assert all(f"{size} (" in table for size in ("full", "tiny", "mini", "nano"))


def test_no_escape_codes_where_there_is_no_terminal(fabricate):
    stream = io.StringIO()
    tables.print_table(results_of(fabricate), Console(file=stream))
    assert "\x1b" not in stream.getvalue() and "DSC" in stream.getvalue()


def test_names_cannot_steer_the_terminal(fabricate):
    text = tables.terminal(results_of(fabricate, organs=("lung\x1b[31m\n", "heart"))).plain
    assert "\x1b" not in text and "lung [31m" in text


def test_a_failed_cell_is_named_in_every_table(fabricate):
    results = results_of(fabricate, broken={("tiny", "synthetic", 0): "sample() gave NaN"})
    text = tables.terminal(results).plain
    assert "failed tiny synthetic seed 0" in text and "sample() gave NaN" in text
    row = next(line for line in text.splitlines() if line.startswith("DSC"))
    assert row.split()[-2] == "failed"
    assert "| failed |" in tables.as_markdown(results)
    assert "& failed &" in tables.as_latex(results)
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(results))))
    lost = [row for row in rows if (row["size"], row["arm"]) == ("tiny", "synthetic")]
    assert lost and all(row["value"] == "" and row["note"] == "failed" for row in lost)


def test_csv_and_json_are_long_and_exact(fabricate):
    results = results_of(fabricate)
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(results))))
    assert len(rows) == len(results.table) == 2 * 3 * 2 * 3  # sizes, arms, metrics, structures
    assert [float(row["value"]) for row in rows] == [row.value for row in results.table]
    assert {row["provider"] for row in rows} == {"my_gan"}
    assert [row["value"] for row in json.loads(tables.as_json(results))] == [row.value for row in results.table]
    tests = list(csv.DictReader(io.StringIO(tables.tests_csv(results))))
    assert [float(row["p"]) for row in tests] == [row.p for row in results.paired]


def test_markdown_keeps_its_columns_whatever_names_say(fabricate):
    lines = [line for line in tables.as_markdown(results_of(fabricate, organs=(HOSTILE, "heart"))).splitlines() if line]
    rows = [line for line in lines if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    assert "<script>" not in "\n".join(lines)


def test_latex_escapes_names(fabricate):
    text = tables.as_latex(results_of(fabricate, organs=(HOSTILE, "heart"), name="my_gan_50%"))
    assert latex_escaped(r"a_b & 50% \x{}") == r"a\_b \& 50\% \textbackslash{}x\{\}"
    assert text.count(r"\end{table}") == 1
    assert r"my\_gan\_50\%" in text
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    counts = {len(re.findall(r"(?<!\\)&", row)) for row in rows if "multicolumn" not in row}
    assert counts == {7}
    assert not re.search(r"(?<!\\)[%#]", body)


def test_latex_marks_are_superscripts_and_booktabs_rules_are_there(fabricate):
    text = tables.as_latex(results_of(fabricate, scores=level))
    assert "70.00$^{**}$" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){3-5}"))


def test_the_caption_for_a_paper_is_sentences(fabricate):
    said = caption_sentences(results_of(fabricate, scores=level))
    assert said[0].startswith("my_gan on tiny_task v1 of cxrbench ") and all(line.endswith(".") for line in said)
    assert all(line.startswith("my_gan") or line[0].isupper() for line in said)
    assert not any("report.html" in line for line in said)
    assert "One seed: these compare two trained models, not the generator (use --seeds 5)." in said
    assert any(line.startswith("Stars are those of the papers") for line in said)


def test_the_same_check_of_all_sizes_is_one_line(fabricate):
    near = {"films": 240, "flagged": 0, "threshold": 0.1, "p": 1.0, "nearest": []}
    results = results_of(fabricate, checks={"near_test": near})
    assert wording.check_notes(results) == [
        ("nearest test film", "no near copies (0 of 240 below the 1st percentile)", False)
    ]


def check_row(sentence, seed, *, size="full", alarm=False, name="near"):
    return CheckRow(size=size, fold="", seed=seed, name=name, sentence=sentence, alarm=alarm)


def notes_of(fabricate, *rows):
    return wording.check_notes(results_of(fabricate).model_copy(update={"checks": list(rows)}))


def test_checks_that_differ_in_their_numbers_alone_are_one_line_with_ranges(fabricate):
    found = notes_of(
        fabricate,
        *(check_row(f"none ({seed} of 240 below the 1st percentile)", seed) for seed in range(4)),
        check_row("copies (9 of 240 below the 1st percentile, p = 8e-04)", 4, alarm=True),
        check_row("copies (48 of 240 below the 1st percentile, p = 1e-46)", 5, alarm=True),
        *(check_row("none (0 of 240 below the 1st percentile)", seed, size="tiny") for seed in range(6)),
        check_row("share 0.5, of V4", 0, name="made"),
    )
    assert found == [
        (
            "near (full seed 4, full seed 5)",
            "copies (9 to 48 of 240 below the 1st percentile, p = 1e-46 to 8e-04)",
            True,
        ),
        ("near (full: 4 of 6)", "none (0 to 3 of 240 below the 1st percentile)", False),
        ("near (tiny)", "none (0 of 240 below the 1st percentile)", False),
        ("made", "share 0.5, of V4", False),
    ]


def test_ranges_keep_signs():
    assert wording.in_ranges(["shift -0.2, 3-5", "shift 0.1, 3-5", "shift -0.5, 3-4"]) == "shift -0.5 to 0.1, 3-4 to 5"


@pytest.mark.parametrize("sentence", ["#", "5", "5 5", "1.2.3", "5e", "", "v5", "1e999", "9" * 5000])
def test_a_check_may_say_anything(fabricate, sentence):
    assert notes_of(fabricate, check_row("5", 0), check_row(sentence, 1))[0][1].startswith("5")


def test_phantom_numbers_are_labelled(fabricate):
    results = results_of(fabricate)
    phantom = results.model_copy(update={"data": results.data.model_copy(update={"phantom": True})})
    for text in (wording.header_sentence(phantom), tables.as_markdown(phantom), tables.as_latex(phantom)):
        assert "not comparable with published numbers" in text
    assert "not comparable" not in wording.header_sentence(results)


def test_films_that_are_test_films_are_said_before_all_else_and_nothing_is_claimed(fabricate):
    near = {"films": 240, "flagged": 129, "threshold": 0.1, "p": 1e-9, "copies": 121, "nearest": []}
    results = results_of(fabricate, checks={"near_test": near})
    assert all(row.leak and row.alarm for row in results.checks)
    said = "LEAK: 121 films of the provider"
    assert headline_sentences(results)[0].startswith(said) and wording.claims(results) == []
    for text in (tables.terminal(results).plain, tables.as_markdown(results), tables.as_latex(results)):
        assert said in " ".join(text.split())


def test_copies_of_training_films_are_no_leak(fabricate):
    near = {"films": 240, "flagged": 0, "threshold": 0.1, "p": 1.0, "copies": 240, "nearest": []}
    results = results_of(fabricate, checks={"near_train": near})
    assert not any(row.leak for row in results.checks) and not any("LEAK" in one for one in headline_sentences(results))
