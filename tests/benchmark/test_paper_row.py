"""The row of a paper: REAL, copies, the arm that ranks, gain and worth in a LaTeX table that stands by itself."""

from __future__ import annotations

import re

import pytest

from cxrbench.benchmark.contracts.task import ArmName, Headline
from cxrbench.benchmark.report import text_tables as tables
from cxrbench.benchmark.report.latex import headline_latex

from .conftest import TinyTask
from .test_placebo_results import RISING, curve_of, results_of


@pytest.fixture(autouse=True)
def ranked(monkeypatch):
    """The task's boards rank by mixed at tiny."""
    monkeypatch.setattr(TinyTask, "headline", Headline(ArmName.MIXED, "tiny"))


def tabulars(text: str) -> list[list[list[str]]]:
    """The cells of the rows of each tabular, as LaTeX would take them apart: braces in pairs, as many cells as columns."""
    plain = re.sub(r"\\[\\&%$#_{}]", "x", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    depth = 0
    for letter in plain:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0 and plain.count("$") % 2 == 0 and not re.search(r"[#_^%~<>]", re.sub(r"\$[^$]*\$", "", plain))
    assert re.findall(r"\\begin{(\w+)}", plain)[::-1] == re.findall(r"\\end{(\w+)}", plain)
    found = []
    for columns, body in re.findall(r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}", text, flags=re.DOTALL):
        rows = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r" \\")]
        assert {len(row) for row in rows} == {len(columns)}
        found.append(rows)
    return found


def test_the_row_of_a_paper_has_real_copies_the_arm_gain_and_worth_and_no_more(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING))
    text = headline_latex(results)
    ((heads, row),) = tabulars(text)
    assert heads == ["generator", "REAL", "copies", "MIXED", r"gain (95 \% interval)", "p", "worth in real films"]
    assert row == [r"my\_gan", "70.00", "70.50", "73.90", "+3.40 (+1.98 to +4.82)", "0.0026", "7.9 (5.9 to 13)"]
    caption = text.split(r"\caption")[1].splitlines()[0]
    for said in (
        r"preset quick, real films of tiny films",
        "adds more than copying does",
        "5 seeds",
        "DSC in per cent",
    ):
        assert said in caption
    assert "Stars" not in caption and "FINETUNE" not in caption
    ((heads, row),) = tabulars(headline_latex(results_of(fabricate)))
    assert "worth" not in " ".join(heads) and len(row) == 6
    ((_, row),) = tabulars(headline_latex(results_of(fabricate, seeds=(0,))))
    assert row[4:] == ["+3.00", "--"]  # one seed has no interval


def test_the_row_of_a_run_without_gains_is_the_whole_table(fabricate):
    results = results_of(fabricate, arms=("real", "synthetic"), placebos=())
    assert headline_latex(results) == tables.as_latex(results)


def test_names_cannot_break_the_row_of_a_paper(fabricate):
    results = results_of(fabricate, curve=curve_of(RISING), name="a&b_c^~ 50% \\x{y}$#<b>\x1b[31m")
    ((_, row),) = tabulars(headline_latex(results))
    assert row[0].startswith(r"a\&b\_c\textasciicircum{}\textasciitilde{} 50\% \textbackslash{}x\{y\}\$\#")
