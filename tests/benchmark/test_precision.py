"""Mean average precision: by hand, against torchmetrics called directly, and in the results and words of a run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cxrbench.benchmark.cli.elsewhere import with_precision
from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.precision import NO_MAP, Detections, FilmBoxes, mean_average_precision
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.python.tables import precision_frame
from cxrbench.benchmark.report.page import build
from cxrbench.benchmark.report.precision_words import MEANING, precision_line, precision_notes, precision_tables
from cxrbench.benchmark.report.text_tables import as_markdown, terminal
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.precision import precision_rows
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs.store import Level

from .conftest import TinyTask

BOX, HIGH, ASIDE = (0, 0, 10, 10), (0, 0, 10, 6.2), (0, 0, 10, 2)  # IoU with the first 1, 0.62 and 0.2
AWAY = (50, 50, 5, 5)
ALL = 101
"""Recalls of the area below the precision."""


def film(found=(), true=(BOX,), *, finding="Mass", counted=None) -> FilmBoxes:
    """Of (score, box), and of boxes; all of one finding."""
    scores, boxes = [one[0] for one in found], [one[1] for one in found]
    return FilmBoxes(boxes, scores, [finding] * len(boxes), list(true), [finding] * len(true), counted)


def values(*films: FilmBoxes, overlap: float | None = None) -> tuple[float, float, float | None]:
    said = mean_average_precision(Detections(films, overlap))
    return said.coco, said.half, said.own


TWO = film([(0.9, BOX)]), film([(0.8, ASIDE), (0.7, HIGH)])
"""Two boxes: one found exactly, then a false detection, then the other at IoU 0.62."""


def test_two_boxes_and_one_false_detection_by_hand():
    """At 0.50, 0.55 and 0.60 precision is 1 up to recall 0.5 (51 of 101 recalls), then 2/3; above only the first is found.
    At 0.10 the detection at IoU 0.2 finds the box, and the one that follows is false but beyond recall 1."""
    found = (51 + 50 * 2 / 3) / ALL
    coco, half, own = values(*TWO, overlap=0.1)
    assert half == pytest.approx(found, abs=1e-6)
    assert coco == pytest.approx((3 * found + 7 * 51 / ALL) / 10, abs=1e-6)
    assert own == pytest.approx(1, abs=1e-6)
    assert values(*TWO)[2] is None


def test_a_perfect_detector_and_one_that_finds_nothing():
    assert values(film([(0.3, BOX)]), film([(0.2, HIGH)], [HIGH]), overlap=0.1) == pytest.approx((1, 1, 1), abs=1e-6)
    assert values(film(), film(), overlap=0.1) == (0, 0, 0)
    assert values(film([(0.9, AWAY)]), overlap=0.1) == (0, 0, 0)


def test_it_is_the_mean_over_findings_that_have_a_box():
    perfect, nothing = film([(0.9, BOX)]), film(finding="Nodule")
    assert values(perfect, nothing)[1] == pytest.approx(0.5, abs=1e-6)
    unknown = film([(0.9, BOX)], true=(), finding="Effusion")  # no film has a box of it
    assert values(perfect, nothing, unknown)[1] == pytest.approx(0.5, abs=1e-6)


def test_the_finding_of_another_film_or_name_is_not_found():
    other = FilmBoxes([BOX], [0.9], ["Nodule"], [BOX], ["Mass"])
    assert values(other)[1] == 0
    assert values(film(), film([(0.9, BOX)], true=()))[1] == 0


def test_a_box_that_is_not_asked_for_is_neither_hit_nor_miss():
    both = film([(0.9, AWAY), (0.8, BOX)], [BOX, AWAY], counted=[True, False])
    assert values(both)[1] == pytest.approx(1, abs=1e-6)
    assert values(film([(0.9, AWAY), (0.8, BOX)]))[1] == pytest.approx(0.5, abs=1e-6)  # it is false where no box is


def test_it_is_what_torchmetrics_gives_when_it_is_called_directly():
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    rng = np.random.default_rng(0)
    names = ("Effusion", "Mass", "Nodule")
    films = []
    for _ in range(40):
        true = rng.uniform(5, 40, (3, 4)).round(2)
        found = np.concatenate([true + rng.normal(0, 1.5, (3, 4)), rng.uniform(5, 40, (4, 4))]).clip(1)
        present, findings = rng.integers(0, 3, 3), rng.integers(0, 3, 7)
        findings[:3] = present
        films.append((found, rng.random(7), findings, true, present))
    said = [
        FilmBoxes(found, score, [names[one] for one in findings], true, [names[one] for one in present])
        for found, score, findings, true, present in films
    ]
    made = mean_average_precision(Detections(said, 0.1))
    boxes = torch.tensor
    for thresholds, results in ((None, {"map": made.coco, "map_50": made.half}), ([0.1], {"map": made.own})):
        measure = MeanAveragePrecision(box_format="xywh", backend="pycocotools", iou_thresholds=thresholds)
        for found, score, findings, true, present in films:
            measure.update(
                [{"boxes": boxes(found), "scores": boxes(score), "labels": boxes(findings)}],
                [{"boxes": boxes(true), "labels": boxes(present)}],
            )
        theirs = measure.compute()
        for name, value in results.items():
            assert 0.05 < value < 0.95 and value == pytest.approx(float(theirs[name]), abs=1e-6), name


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (Detections([film(true=())]), "one box at least"),
        (Detections([film(counted=[False])]), "one box at least"),
        (Detections([film([(0.9, (0, 0, -1, 2))])]), "width, height >= 0"),
        (Detections([film([(0.9, (0, 0, 1))])]), r"boxes \(1, 4\)"),
        (Detections([film([(float("nan"), BOX)])]), "finite score"),
        (Detections([FilmBoxes([BOX], [0.9], [], [BOX], ["Mass"])]), "for each detection"),
        (Detections([film()], overlap=1.5), "up to 1 expected, found 1.5"),
    ],
)
def test_wrong_input_is_named(detections, message):
    with pytest.raises(InputError, match=message):
        mean_average_precision(detections)


# ------------------------------------------------------------------------------------------------------- a run


SHIFT = {"real": (0.0, 0.0), "mixed": (0.0, 3.8), "placebo_mixed": (3.8, 3.8)}
"""What seeds 0 and 1 cut from the height of the box that each film has: IoU 1 or 0.62."""
HALF = 0.3
"""COCO's mean for IoU 0.62 everywhere: 3 of 10 overlaps."""


def said_of(self, predictions: Predictions, test) -> Detections:
    """Arrays of the test's own form: the box found on every film."""
    assert list(predictions.ids) == test.ids
    return Detections([film([(0.9, tuple(box))]) for box in predictions.arrays["found"]], overlap=0.1)


@pytest.fixture
def made(fabricate, monkeypatch):
    monkeypatch.setattr(TinyTask, "detections", said_of, raising=False)
    made = fabricate(arms=("real", "mixed"), placebos=("mixed",), seeds=(0, 1), sizes=("full",))
    ids = tuple(made.plan.task.test_set(made.plan.data, made.plan.cells[0].slot).ids)
    for cell in made.plan.cells:
        box = (0, 0, 10, 10 - SHIFT[cell.arm][cell.seed])
        found = Predictions(ids, {"found": np.array([box] * len(ids), np.float32)})
        found.save(made.store.path(Level.RECORDS, cell.key) / "predictions.npz")
    return made


def results_of(made) -> Results:
    results = assemble(made.plan, made.store, ["cxrbench", "run"])
    rows = precision_rows(Harvest(made.plan, made.store), Progress())
    return results.model_copy(update={"average_precision": rows})


def test_a_run_has_a_row_for_each_arm_and_placebo_over_seeds(made):
    rows = {row.arm: row for row in results_of(made).average_precision}
    assert list(rows) == ["real", "mixed", "placebo_mixed"]
    assert {(row.size, row.seeds, row.overlap, row.note) for row in rows.values()} == {("full", 2, 0.1, "")}
    numbers = [(row.map, row.sd, row.map_50, row.sd_50, row.map_own) for row in rows.values()]
    spread = (1 - HALF) / np.sqrt(2)
    expected = [(1, 0, 1, 0, 1), ((1 + HALF) / 2, spread, 1, 0, 1), (HALF, 0, 1, 0, 1)]
    assert numbers == [pytest.approx(one, abs=1e-6) for one in expected]


def test_it_is_shown_and_moves_no_other_number(made, tmp_path):
    plain, results = assemble(made.plan, made.store, ["cxrbench", "run"]), results_of(made)
    assert results.model_copy(update={"average_precision": [], "created": plain.created}) == plain
    ((headings, lines),) = precision_tables(results)
    assert headings == ("mAP", "size", "DSC", "IoU 0.50:0.95", "IoU 0.50", "IoU 0.10", "seeds")
    assert [line[0] for line in lines] == ["REAL", "MIXED", "MIXED, copies"]
    assert lines[1][3:] == ("0.650 ± 0.495", "1.000 ± 0.000", "1.000 ± 0.000", "2") and lines[1][2] != "–"
    (line,) = precision_line(results)
    assert line.startswith("mAP over IoU 0.50 to 0.95 (at 0.50, at 0.10), which ranks nothing: ")
    assert line.endswith("full REAL 1.000 ± 0.000 (1.000, 1.000), full MIXED 0.650 ± 0.495 (1.000, 1.000)")
    assert precision_notes(results) == [MEANING]
    write_numbers(tmp_path, Harvest(made.plan, made.store))
    page, short = build(tmp_path, results).html, " ".join(terminal(results, 120).plain.split())
    assert "0.650 ± 0.495" in page and "nothing is ranked by it" in " ".join(page.split())
    assert (
        line in short
        and "mAP" not in terminal(plain, 120).plain
        and "average precision" not in build(tmp_path, plain).html
    )
    assert "| MIXED, copies | full |" in as_markdown(results) and MEANING in as_markdown(results).replace("\\", "")
    assert precision_frame(results)["map"].tolist() == pytest.approx([1, 0.65, HALF], abs=1e-6)


def test_results_keep_it_and_older_ones_have_none(made):
    results = results_of(made)
    assert Results.model_validate_json(results.model_dump_json(by_alias=True)) == results
    old = results.model_dump(mode="json", by_alias=True)
    old["average_precision"][0]["map"] = 1.2
    with pytest.raises(ValueError, match="less than or equal to 1"):
        Results.model_validate(old)
    del old["average_precision"]
    assert Results.model_validate(old).average_precision == []


@pytest.mark.parametrize("absent", ["torchmetrics", "pycocotools"])
def test_without_the_extra_one_line_says_so(made, monkeypatch, absent):
    if absent == "torchmetrics":
        monkeypatch.setitem(sys.modules, "torchmetrics.detection", None)
    else:
        monkeypatch.setattr("torchmetrics.detection.mean_ap._PYCOCOTOOLS_AVAILABLE", False)
        monkeypatch.setattr("torchmetrics.detection.mean_ap._FASTER_COCO_EVAL_AVAILABLE", False)
    results = results_of(made)
    assert {row.map for row in results.average_precision} == {None}
    assert precision_tables(results) == [] and precision_notes(results) == precision_line(results) == [NO_MAP]
    assert " ".join(terminal(results, 120).plain.split()).count(NO_MAP) == 1


def test_what_cannot_be_told_is_a_line_of_its_arm_and_ends_no_run(made, monkeypatch):
    (cell,) = (one for one in made.plan.cells if one.arm == "real" and one.seed == 1)
    made.store.path(Level.RECORDS, cell.key).joinpath("predictions.npz").unlink()
    real, mixed, _ = results_of(made).average_precision
    assert real.map is None and mixed.map is not None
    (line,) = (one for one in precision_line(results_of(made)) if one.startswith("full REAL: "))
    assert "mAP is left out" in line and "predictions.npz" in line
    monkeypatch.setattr(TinyTask, "detections", lambda *_: None)
    assert {row.note for row in results_of(made).average_precision[1:]} == {"mAP is left out: not taught"}


def test_a_task_without_detections_has_none(made, monkeypatch):
    monkeypatch.delattr(TinyTask, "detections")
    harvest = Harvest(made.plan, made.store)
    assert precision_rows(harvest, Progress()) == []
    assert with_precision(made, assemble(made.plan, made.store, []), Progress()).average_precision == []
