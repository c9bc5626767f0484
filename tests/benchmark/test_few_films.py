"""The films of a smoke run: a handful of each part, in which a task finds whatever it looks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.cli.working import plan_line
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs.few_films import BOXES, EACH, HEALTHY, SHOWN, few_films, few_rows
from cxrbench.benchmark.runs.request import Request, prepare

from ..toys.toy_films import chests

FINDINGS = ("Mass", "Nodule", "Hernia")
SIDE = 16


def films(count: int = 400) -> Dataset:
    """Films of half as many patients; a tenth has a mass, a nodule or a hernia; two hernias are tested. An organ is seen on
    every fourth film."""
    rng = np.random.default_rng(3)
    ids = [f"f{row:03d}" for row in range(count)]
    parts = rng.choice(["train", "val", "test"], count, p=[0.6, 0.1, 0.3])
    labels = (rng.random((count, 3)) < 0.1).astype(np.uint8)
    labels[:, 2] = 0
    labels[np.flatnonzero(parts == "test")[[5, 40]], 2] = 1
    cases = pd.DataFrame({"id": ids, "patient": [f"p{row // 2}" for row in range(count)], "split": parts})
    cases[list(FINDINGS)] = labels
    cases["site"] = rng.choice(["a", "b", "c"], count, p=[0.9, 0.09, 0.01])
    rows = np.flatnonzero(labels[:, 0])
    boxes = pd.DataFrame({"id": [ids[row] for row in rows], "finding": "Mass", "x": 1.0, "y": 1.0, "w": 4.0, "h": 4.0})
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    masks[:, :4] |= 1
    masks[::4, 4:] |= 2
    info = DatasetInfo(name="drawn", resolution=SIDE, organs=("lung", "heart"), findings=FINDINGS)
    return Dataset(info, rng.integers(0, 256, masks.shape, dtype=np.uint8), cases, masks, boxes)


def test_a_handful_of_every_part_shows_every_finding_organ_and_group():
    data = films()
    rows = few_rows(data, Annotation.LABELS, ["site"])
    few = data.select(rows)
    assert list(rows) == sorted(set(rows)) and len(rows) < 50
    assert set(few.cases["split"]) == {"train", "test"}
    for part in ("train", "test"):
        own = few.select((few.cases["split"] == part).to_numpy())
        shown, all_shown = own.labels().sum(axis=0), data.labels()[(data.cases["split"] == part).to_numpy()].sum(axis=0)
        assert len(own) >= EACH and (shown >= np.minimum(SHOWN, all_shown)).all()
        assert (len(own) - shown >= SHOWN).all()
        assert (own.organ_masks().any(axis=(2, 3)).sum(axis=0) >= SHOWN).all()
        assert (own.labels().sum(axis=1) == 0).sum() >= HEALTHY
    assert few.cases["patient"].nunique() > 0.8 * len(few)
    assert (few.cases["site"].value_counts() >= SHOWN).all() and few.cases["site"].nunique() == 3
    assert len(few.boxes) >= SHOWN


def test_boxes_are_enough_to_divide_where_a_task_needs_them():
    data = films()
    assert len(data.boxes) > BOXES
    asked, not_asked = (data.select(few_rows(data, need)).boxes for need in (Annotation.BOXES, Annotation.LABELS))
    assert len(asked) >= BOXES > len(not_asked)


def test_every_fold_has_its_films_and_a_small_set_is_taken_whole():
    data = chests(40, 30)
    data.cases["fold"] = [row % 3 for row in range(len(data))]
    few = data.select(few_rows(data, Annotation.MASKS))
    assert (few.cases["fold"].value_counts() == EACH).all() and few.cases["fold"].nunique() == 3
    assert (few.cases["split"].value_counts() >= EACH).all()
    small = chests(4, 3)
    assert list(few_rows(small, Annotation.MASKS)) == list(range(7))
    assert few_films(small, few_rows(small, Annotation.MASKS)) is small


def test_the_same_films_are_taken_again_whatever_their_order():
    data = films()
    turned = data.select(np.arange(len(data))[::-1])
    assert sorted(data.select(few_rows(data, Annotation.LABELS)).ids) == sorted(
        turned.select(few_rows(turned, Annotation.LABELS)).ids
    )


@pytest.fixture
def request_of_chests(tmp_path, monkeypatch) -> Request:
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    data = chests(60, 40)
    data.cases["fold"] = [row % 3 for row in range(len(data))]
    data.resized(64).save(tmp_path / "chests")
    return Request(provider="noise", task="scr_3fold", data=str(tmp_path / "chests"), device="cpu")


def test_the_sizes_of_a_run_are_smoked_by_the_smallest_where_few_films_are_too_few_for_them(request_of_chests):
    asked = replace(request_of_chests, task="scr_official", sizes=("31",))
    assert {cell.slot.size for cell in prepare(asked).plan.cells} == {"31"}
    smoked = prepare(replace(asked, smoke=True))
    assert {cell.slot.size for cell in smoked.plan.cells} == {"tiny"}
    assert "note   size 31 needs more films than a smoke run looks at: tiny in its place" in plan_line(smoked)
    with pytest.raises(InputError, match="61 needs more than 61 training films, there are 60"):
        prepare(replace(asked, smoke=True, sizes=("61",)))


def test_a_smoke_run_looks_at_few_films_of_one_fold_and_says_so(request_of_chests):
    whole, smoke = prepare(request_of_chests), prepare(replace(request_of_chests, smoke=True))
    assert len(whole.plan.data) == 100 and not whole.plan.from_scratch
    assert {cell.slot.fold for cell in whole.plan.cells} == {"0", "1", "2"}
    few = smoke.plan.data
    assert len(few) == len(smoke.plan.fit_data) == 3 * EACH and set(few.ids) < set(whole.plan.data.ids)
    assert {cell.slot.fold for cell in smoke.plan.cells} == {"0"}
    assert {cell.slot.arm for cell in smoke.plan.cells} == {cell.slot.arm for cell in whole.plan.cells}
    assert any(cell.identity.placebo for cell in whole.plan.cells)
    assert not any(cell.identity.placebo for cell in smoke.plan.cells)
    assert "looks at 36 of the 100 films" in smoke.plan.from_scratch[1]
    assert few.folder is not None and few.folder.is_relative_to(whole.store.root.parent)


def test_kept_few_films_are_taken_again_and_made_anew_where_they_were_changed(request_of_chests):
    asked = replace(request_of_chests, smoke=True)
    first = prepare(asked).plan.data
    stamp = (first.folder / "images.npy").stat().st_mtime_ns
    assert prepare(asked).plan.data.digest == first.digest
    assert (first.folder / "images.npy").stat().st_mtime_ns == stamp
    (first.folder / "images.npy").write_bytes(b"changed")
    again = prepare(asked).plan.data
    assert again.digest == first.digest and again.ids == first.ids and (again.images == films_again(asked)).all()


def films_again(asked: Request) -> np.ndarray:
    data = prepare(replace(asked, smoke=False)).plan.data
    return np.asarray(data.images)[few_rows(data, Annotation.MASKS)]
