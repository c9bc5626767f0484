"""`--also-test` and `--groups`: kept models on further films, groups of test films, and keys that do not move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.card.rows import make_card
from cxrbench.benchmark.card.write import as_markdown
from cxrbench.benchmark.cli.elsewhere import with_elsewhere
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset, pack_masks
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.report.elsewhere_words import FURTHER, GROUPS, elsewhere_notes, further_lines, group_lines
from cxrbench.benchmark.report.text_tables import as_markdown as table_markdown
from cxrbench.benchmark.report.text_tables import terminal
from cxrbench.benchmark.results import elsewhere
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.elsewhere import Scored, group_rows, in_groups
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs import further as further_module
from cxrbench.benchmark.runs.further import further_set, kept_score, score_further
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"


def patients(films: Dataset) -> Dataset:
    """With columns that tell them apart: F and M in turn, ages of 7 and 55."""
    count = len(films)
    cases = films.cases.assign(sex=["F", "M"] * (count // 2), age=[7] * 6 + [55] * (count - 6), view=["PA"] * count)
    return replace(films, cases=cases)


def others(count: int = 24) -> Dataset:
    """Films of another hospital: brighter, other names, the right lung first and no left one."""
    films = chests(0, count)
    right = films.organ_masks(["right_lung"])
    images = np.clip(np.asarray(films.images).astype(int) + 3, 0, 255).astype(np.uint8)
    info = films.info.changed(name="others", organs=("right_lung",))
    cases = films.cases.assign(id=[f"o{row}" for row in range(count)]).drop(columns="split")
    return replace(films, info=info, images=images, masks=pack_masks(right), cases=cases)


@pytest.fixture
def asked(monkeypatch) -> Request:
    """A run of two seeds on films with columns; `others` is kept beside them."""
    run_here(monkeypatch)
    keep(patients(chests(40, 60)))
    keep(others())
    return Request(provider=PROVIDER, task=TASK, data="chests", seeds=2, sizes=("tiny",))


def ran(request: Request) -> tuple[Prepared, Results]:
    prepared = prepare(request)
    assert [one.error for one in execute(prepared) if one.error] == []
    results = assemble(prepared.plan, prepared.store, ["cxrbench", "run"])
    return prepared, with_elsewhere(prepared, results, Progress())


def test_what_is_asked_besides_moves_no_key_and_trains_nothing(asked):
    plain, results = ran(asked)
    assert results.elsewhere is None
    more = prepare(replace(asked, also_test=("others",), groups=("sex",)))
    assert [cell.key for cell in more.plan.cells] == [cell.key for cell in plain.plan.cells]
    assert more.left == []


def test_models_are_scored_on_a_further_set_over_what_both_have(asked):
    prepared, results = ran(replace(asked, also_test=("others",)))
    found = results.elsewhere
    assert found is not None and found.left_out == []
    rows = {row.arm: row for row in found.further}
    assert set(rows) == {"real", "synthetic", "finetune"}
    assert rows["real"].structures == ["right_lung"] and rows["real"].films == 24
    assert rows["real"].gain is None and rows["synthetic"].gain is not None
    task = prepared.plan.task
    cells = [one for one in prepared.plan.cells if one.arm == "real"]
    by_hand = []
    for cell in cells:  # the threshold on the right half of the films, by hand
        model = task.load_model(prepared.store.path(further_module.Level.RECORDS, cell.key) / "model.safetensors", None)
        films = others()
        said = np.asarray(films.images) < model["right_lung"]
        said[:, :, 16:] = False
        truth = np.asarray(films.masks) > 0
        dice = 2 * (said & truth).sum((1, 2)) / (said.sum((1, 2)) + truth.sum((1, 2)))
        by_hand.append(dice.mean())
    assert rows["real"].score == pytest.approx(np.mean(by_hand))
    assert rows["real"].sd == pytest.approx(np.std(by_hand, ddof=1))


def test_scores_are_kept_by_content_and_damage_is_noticed(asked, monkeypatch):
    prepared, _ = ran(replace(asked, also_test=("others",)))
    (one,) = prepared.further
    assert any(entry.kind is Kind.FURTHER for entry in contents(prepared.store))
    monkeypatch.setattr(further_module, "_score", lambda *_: pytest.fail("scored again"))
    again = list(score_further(prepared.plan, prepared.store, [one], Progress()))
    assert again == []
    key = further_module.further_key(prepared.plan.cells[0].key, one)
    (further_module.further_place(prepared.store, key) / "scores.parquet").write_bytes(b"damaged")
    assert kept_score(prepared.store, prepared.plan.cells[0].key, one) is None
    changed = replace(one, films=one.films.select(np.arange(20)))
    assert further_module.further_key(prepared.plan.cells[0].key, changed) != key


def test_a_model_that_is_gone_is_said_and_its_arm_left_out(asked):
    prepared, _ = ran(asked)
    lost = next(cell for cell in prepared.plan.cells if cell.arm == "synthetic" and cell.seed == 1)
    more = prepare(replace(asked, also_test=("others",)))
    (prepared.store.path(further_module.Level.RECORDS, lost.key) / "model.safetensors").unlink()
    found = with_elsewhere(more, assemble(more.plan, more.store, []), Progress()).elsewhere
    assert found is not None
    assert "others, synthetic tiny seed 1: the store has not its model" in found.left_out
    assert {row.arm for row in found.further} == {"real", "finetune"}


def test_sets_that_are_none_are_refused_before_any_work(asked):
    prepared = prepare(asked)
    task, data = prepared.plan.task, prepared.plan.data
    with pytest.raises(InputError, match=r"has the pixels of .* of chests: no further set"):
        further_set(task, data, "chests")
    heart = replace(others(), info=others().info.changed(name="hearts"), masks=None)
    heart = replace(heart, info=heart.info.changed(organs=()))
    keep(heart)
    with pytest.raises(InputError, match="nothing in common with chests"):
        further_set(task, data, "hearts")
    with pytest.raises(InputError, match="unknown dataset 'nowhere'"):
        prepare(replace(asked, also_test=("nowhere",)))
    with pytest.raises(InputError, match=r"unknown column of chests 'sexx'.*sex"):
        prepare(replace(asked, groups=("sexx",)))


def test_of_a_set_with_a_split_its_test_films_are_taken(asked):
    films = others()
    keep(
        replace(films, info=films.info.changed(name="divided"), cases=films.cases.assign(split=["train", "test"] * 12))
    )
    prepared = prepare(asked)
    assert len(further_set(prepared.plan.task, prepared.plan.data, "divided").films) == 12
    assert len(further_set(prepared.plan.task, prepared.plan.data, "others").films) == 24


def test_lungs_of_a_task_that_joins_them_are_scored_where_films_have_them_and_nowhere_else():
    task = find_task("scr_3fold").load()()
    films = others()
    fitted, structures = further_module._with_masks(task, patients(chests(4, 4)), films)
    assert len(structures) == 1 and fitted.organs == ("left_lung", "right_lung")
    assert np.array_equal(fitted.organ_masks(["right_lung"]), films.organ_masks(["right_lung"]))
    assert not fitted.organ_masks(["left_lung"]).any()
    hearts = replace(films, info=films.info.changed(organs=("heart",)))
    assert further_module._with_masks(task, patients(chests(4, 4)), hearts)[1] == ()


def test_labels_in_common_are_put_into_the_order_of_the_runs_findings():
    task = find_task("nih_classification").load()()
    cases = {"Mass": [0, 1] * 8, "Edema": [1, 0] * 8, "Nodule": [0] * 8 + [1] * 8}
    films = chests(0, 16)
    data = replace(films, cases=films.cases.assign(**cases), info=films.info.changed(findings=tuple(cases)))
    known = {"Nodule": cases["Nodule"], "Mass": cases["Mass"], "Fracture": [0, 1] * 8}
    other = replace(films, cases=films.cases.assign(**known), info=films.info.changed(findings=tuple(known)))
    fitted, structures = further_module._with_labels(task, data, other)
    assert set(structures) == {"Mass", "Nodule"} and fitted.info.findings == data.info.findings
    assert fitted.cases["Edema"].sum() == 0 and fitted.cases["Nodule"].tolist() == cases["Nodule"]


def boxed(films: Dataset, findings: list[str]) -> Dataset:
    """A box of 20 x 20 pixels of each of these findings on each film."""
    rows = [(name, finding, 10.0, 12.0, 20.0, 20.0) for name in films.ids for finding in findings]
    boxes = pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])
    return replace(films, boxes=boxes, info=films.info.changed(findings=tuple(findings)), folder=None)


def test_boxes_in_common_are_scored_and_others_are_no_miss(monkeypatch):
    """Half of the films elsewhere have a box of a finding that the run has boxes of; the model finds four of five."""
    from cxrbench.tasks.detections import CHOSEN, predicted
    from cxrbench.tasks.models.faster_rcnn import Detections

    task = find_task("nih_localisation").load()()
    data = boxed(chests(0, 12), ["Mass", "Effusion"])
    other = boxed(chests(0, 10), ["Effusion", "Pneumonia"])
    own = other.boxes["id"].isin(other.ids[:5]).to_numpy()
    other = replace(other, boxes=other.boxes[own | (other.boxes["finding"] == "Pneumonia")])
    monkeypatch.setattr(further_module, "find_dataset", lambda *_: replace(other, images=other.images[:, ::-1]))
    found = further_set(task, data, "others")
    assert found.structures == ("Effusion",) and found.films.ids == other.ids[:5]
    boxes = np.tile(np.array([[10.0, 12.0, 20.0, 20.0]], dtype=np.float32), (4, 1))
    sure = Detections(box=boxes, image=np.arange(4), finding=np.zeros(4, dtype=int), score=np.full(4, 0.9, np.float32))
    said = predicted(found.films.ids, {CHOSEN: sure}, ["Effusion"], np.array([True]))
    scores = task.score(said, found.films)
    scores = scores[scores["structure"].isin(found.structures)]
    met = scores[scores["metric"] == "cl"].set_index("case")["value"]
    assert met.tolist() == [1, 1, 1, 1, 0] and list(met.index) == [f"{name}/Effusion" for name in found.films.ids]
    bare = replace(other, boxes=other.boxes[other.boxes["finding"] == "Pneumonia"])
    monkeypatch.setattr(further_module, "find_dataset", lambda *_: bare)
    with pytest.raises(InputError, match="nothing in common"):
        further_set(task, data, "others")


# --------------------------------------------------------------------------- groups


def made_up(gap: float, seed: int = 0) -> pd.DataFrame:
    """Dice of 40 films: F 0.8, M lower by a gap, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.01, 40)
    rows = [
        {"case": f"c{row}", "structure": "left_lung", "metric": "dsc", "value": 0.8 - gap * (row % 2) + noise[row]}
        for row in range(40)
    ]
    return elsewhere._named(pd.DataFrame(rows), {f"c{row}" for row in range(40)})


def grouped(scored: list[Scored], **columns: object) -> tuple[list, list[str]]:
    films = chests(40, 0)
    ids = [f"c{row}" for row in range(40)]
    cases = pd.DataFrame({"id": ids, "patient": ids, **columns})
    task = find_task(TASK).load()()
    return group_rows(task, "", replace(films, cases=cases), scored, list(columns), ("full", "mixed"))


def test_a_gap_is_the_group_less_the_largest_with_an_interval_that_holds_it():
    sex = ["F" if row % 2 == 0 or row == 39 else "M" for row in range(40)]
    scored = [Scored("full", "real", {0: [made_up(0.0)], 1: [made_up(0.0, 1)]})]
    rows, left_out = grouped([replace(scored[0], by_seed={0: [made_up(0.1)], 1: [made_up(0.1, 1)]})], sex=sex)
    assert left_out == [] and [(row.group, row.films) for row in rows] == [("F", 21), ("M", 19)]
    reference, men = rows
    assert reference.gap is None and reference.reference == "F"
    scores = pd.concat([made_up(0.1), made_up(0.1, 1)])
    women = scores["case"].isin([f"c{row}" for row in range(40) if sex[row] == "F"])
    assert men.gap == pytest.approx(scores["value"][~women].mean() - scores["value"][women].mean())
    assert men.low is not None and men.low < men.gap < men.high < -0.05
    even = grouped(scored, sex=sex)[0][1]
    assert even.low < 0 < even.high


def test_the_change_of_a_gap_is_paired_with_the_placebo_by_seed():
    sex = ["F", "M"] * 20
    scored = [
        Scored("full", "mixed", {seed: [made_up(0.02, seed)] for seed in range(5)}),
        Scored("full", "placebo_mixed", {seed: [made_up(0.10, 10 + seed)] for seed in range(5)}),
        Scored("tiny", "mixed", {seed: [made_up(0.02, seed)] for seed in range(2)}),
        Scored("tiny", "placebo_mixed", {seed: [made_up(0.10, 10 + seed)] for seed in range(2)}),
    ]
    rows = {(row.size, row.group): row for row in grouped(scored, sex=sex)[0]}
    row = next(one for one in rows.values() if one.size == "full" and one.gap is not None)
    assert abs(row.change) == pytest.approx(0.08, abs=0.01) and row.change_low < row.change < row.change_high
    assert row.change_p is not None and row.change_p < 0.01
    few = next(one for one in rows.values() if one.size == "tiny" and one.gap is not None)
    assert few.change is not None and few.change_low is None, "no interval below five seeds"
    assert few.low is None, "gaps have intervals at the headline's size alone"


def test_ages_are_bands_and_small_groups_are_named_without_a_number():
    ages = in_groups(pd.Series([0, 17, 18, 59.5, "81", None, "old"]), "age")
    assert ages.tolist()[:5] == ["0 to 17", "0 to 17", "18 to 39", "40 to 59", "80 or more"]
    assert ages.isna().tolist()[5:] == [True, True]
    rows, left_out = grouped([Scored("full", "real", {0: [made_up(0)]})], age=[5] * 4 + [30] * 36, view=["PA"] * 40)
    assert rows == []
    assert left_out[0] == "age: too few patients for a number, 0 to 17 (4); expected 10"
    assert left_out[1:] == ["age: one group alone, 18 to 39: no gap", "view: one group alone, PA: no gap"]


def test_a_run_shows_them_in_its_tables_and_on_its_card(asked, monkeypatch):
    monkeypatch.setattr(elsewhere, "LEAST", 4)
    _, results = ran(replace(asked, also_test=("others",), groups=("sex",)))
    assert [len(line) for line in further_lines(results)] == [len(FURTHER)] * 3
    lines = group_lines(results)
    assert len(lines) == 6 and {len(line) for line in lines} == {len(GROUPS)}
    assert any("over right lung" in line for line in elsewhere_notes(results))
    assert "sex: the films have no such column" not in elsewhere_notes(results)
    assert any(line.startswith("sex of others: the films have no such column") for line in elsewhere_notes(results))
    for text in (terminal(results).plain, table_markdown(results), as_markdown(make_card(results, None, None, "x"))):
        assert "further test set" in text and "sex M" in text and "reference" in text
    again = Results.model_validate_json(results.model_dump_json(by_alias=True))
    assert again.elsewhere == results.elsewhere
