"""The comparison of benchmark times: ratios to the reference, what is called slower, the baseline file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import compare


def run_file(path: Path, **ratios: list[float]) -> Path:
    """What pytest-benchmark writes, as far as it is read: blocks of four calls, a reference call takes 2 ms."""
    benchmarks = [
        {
            "name": name,
            "stats": {"median": 0.008 * values[0]},
            "extra_info": {"reference": "arrays", "calls": 4, "ratios": values},
        }
        for name, values in ratios.items()
    ]
    machine = {"machine": "x86_64", "python_version": "3.11.7", "cpu": {"brand_raw": "a processor"}}
    content = {"machine_info": machine, "datetime": "2026-01-01T00:00:00", "benchmarks": benchmarks}
    path.write_text(json.dumps(content))
    return path


def test_a_timing_is_the_median_and_the_quartiles_of_its_ratios(tmp_path):
    timings, machine = compare.read_run(run_file(tmp_path / "now.json", dice=[3.0, 1.0, 2.0, 5.0, 4.0]))
    assert timings == {"dice": compare.Timing(3.0, 2.0, 4.0, "arrays", pytest.approx(0.006))}
    assert machine == {"cpu": "a processor", "python": "3.11.7", "created": "2026-01-01T00:00:00"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ([2.0, 2.1, 2.2], "slower"),
        ([0.5, 0.5, 0.6], "faster"),
        ([1.05, 1.06, 1.07], ""),  # told apart, but by less than a tenth
        ([0.5, 1.5, 4.0], ""),  # more than a tenth, but not told apart
    ],
)
def test_a_difference_is_named_where_it_is_large_and_told_from_noise(now, said, tmp_path):
    before, _ = compare.read_run(run_file(tmp_path / "before.json", auc=[0.99, 1.0, 1.01]))
    after, _ = compare.read_run(run_file(tmp_path / "now.json", auc=now))
    (line,) = compare.compare(after, before)
    assert line.verdict == said and line.ratio == pytest.approx(sorted(now)[1])


def test_benchmarks_of_one_side_alone_are_new_or_gone(tmp_path):
    before, _ = compare.read_run(run_file(tmp_path / "before.json", old=[1.0, 1.0], both=[1.0, 1.0]))
    after, _ = compare.read_run(run_file(tmp_path / "now.json", both=[1.0, 1.0], fresh=[1.0, 1.0]))
    assert [(line.name, line.verdict) for line in compare.compare(after, before)] == [
        ("both", ""),
        ("fresh", "new"),
        ("old", "gone"),
    ]


def test_a_saved_baseline_is_compared_with_and_no_time_makes_it_fail(tmp_path, capsys):
    first = run_file(tmp_path / "first.json", dice=[1.0, 1.0, 1.0], auc=[2.0, 2.0, 2.0])
    kept = tmp_path / "baseline.json"
    assert compare.main([str(first), "--baseline", str(kept), "--save"]) == 0
    timings, machine = compare.read_baseline(kept)
    assert timings["auc"].median == 2 and machine["cpu"] == "a processor"
    capsys.readouterr()
    second = run_file(tmp_path / "second.json", dice=[9.0, 9.0, 9.0], auc=[2.0, 2.0, 2.0])
    assert compare.main([str(second), "--baseline", str(kept)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == ["dice", "9", "0", "%", "1", "9.00", "slower"]
    assert lines[3] == ["auc", "2", "0", "%", "2", "1.00"]


def test_a_file_that_is_something_else_is_one_line_and_status_2(tmp_path, capsys):
    wrong = tmp_path / "wrong.json"
    for content in ("{}", "[]", "no json"):
        wrong.write_text(content)
        assert compare.main([str(wrong), "--baseline", str(wrong)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    run = run_file(tmp_path / "now.json", dice=[1.0, 1.0])
    wrong.write_text('{"schema": 7}')
    assert compare.main([str(run), "--baseline", str(wrong)]) == 2
    assert "expected a baseline of schema 1" in capsys.readouterr().err
