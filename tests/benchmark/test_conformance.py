"""The conformance suite: what it lets pass, and what it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts import conformance
from cxrbench.benchmark.contracts.conformance import FILMS, check_films, check_provider
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import Plugin, find_provider

FINDINGS = ("Mass", "Nodule", "Edema")
SIDE = 64


def films_of(*annotations: Annotation, films: int = 60) -> Dataset:
    """Films that are all different, most of them healthy at the beginning; Edema has no boxes."""
    rng = np.random.default_rng(0)
    ids = [f"case{index:02d}" for index in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": ids})
    labels = np.zeros((films, 3), np.uint8)
    labels[30:32, 0] = labels[33:40, 1] = labels[41:, 2] = 1
    cases[list(FINDINGS)] = labels
    rows = [(ids[film], FINDINGS[column], 4.0, 6.0, 20.0, 30.0) for film, column in np.argwhere(labels[:, :2])]
    boxes = pd.DataFrame(rows[1:], columns=["id", "finding", "x", "y", "w", "h"])
    images = rng.integers(0, 256, (films, SIDE, SIDE), dtype=np.uint8)
    masked, boxed = Annotation.MASKS in annotations, Annotation.BOXES in annotations
    return Dataset(
        DatasetInfo(name="films", resolution=SIDE, organs=("heart",) if masked else (), findings=FINDINGS),
        images,
        cases,
        masks=images % 2 if masked else None,
        boxes=boxes if boxed else None,
    )


class Everything(Provider):
    """Training films with their labels and boxes."""

    produces = frozenset({Annotation.LABELS, Annotation.BOXES})

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.films, self.calls = train, 0

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        self.calls += 1
        rows = np.random.default_rng(seed).integers(0, len(self.films), n)
        boxes = [[("Mass", float(row), 1.0, 5.0, 5.0)] for row in rows]
        images = self.films.images[rows, None].astype(np.float32) / 255
        yield self.change(Batch(images, labels=self.films.labels()[rows], boxes=boxes))

    def change(self, batch: Batch) -> Batch:
        return batch


class OtherLabels(Everything):
    """The same films for a seed, but other labels at each call."""

    def change(self, batch: Batch) -> Batch:
        return replace(batch, labels=(batch.labels + self.calls) % 2)


class OtherBoxes(Everything):
    """The same films for a seed, but other boxes at each call."""

    def change(self, batch: Batch) -> Batch:
        return replace(batch, boxes=[[("Mass", float(self.calls), 1.0, 5.0, 5.0)]] * len(batch.images))


class NoBoxes(Everything):
    """Says that it makes boxes, and makes none."""

    def change(self, batch: Batch) -> Batch:
        return replace(batch, boxes=None)


class BoxOutside(Everything):
    """A box that leaves the film."""

    def change(self, batch: Batch) -> Batch:
        return replace(batch, boxes=[[("Mass", 60.0, 1.0, 5.0, 5.0)]] * len(batch.images))


class FilmsAlone(Everything):
    """Films without annotations."""

    produces = frozenset()

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images)


class OneText(FilmsAlone):
    """Gives text instead of a list of ids."""

    def trained_on(self) -> str:
        return "case01"


def checked(cls: type[Provider], train: Dataset) -> dict[str, tuple[bool, str]]:
    """What the suite found: for each claim whether it holds, and what was seen."""
    plugin = Plugin(cls.__name__, cls.__name__, __name__, cls.__name__)
    train.cases["source_ids"] = [[case] for case in train.ids]
    findings = check_provider(plugin, None, train, device="cpu", progress=Progress())
    return {finding.claim.split(",")[0].split("(")[0]: (finding.holds, finding.seen) for finding in findings}


def broken(cls: type[Provider]) -> dict[str, str]:
    """The claims that do not hold, and what was seen."""
    found = checked(cls, films_of(Annotation.BOXES))
    return {claim: seen for claim, (holds, seen) in found.items() if not holds}


def test_a_provider_that_annotates_with_labels_and_boxes_passes_and_is_told_with_what():
    found = checked(Everything, films_of(Annotation.BOXES))
    assert all(holds for holds, _ in found.values()) and len(found) == 11
    assert "annotated with boxes, labels" in found["sample"][1]


def test_a_provider_of_films_alone_passes():
    found = checked(FilmsAlone, films_of(Annotation.BOXES, Annotation.MASKS))
    assert all(holds for holds, _ in found.values())
    assert "annotated with nothing" in found["sample"][1]


@pytest.mark.parametrize("cls", [OtherLabels, OtherBoxes])
def test_labels_and_boxes_must_come_from_the_seed_as_films_do(cls):
    assert set(broken(cls)) == {"same seed", "save"}


def test_missing_boxes_and_boxes_outside_the_film_are_named():
    assert "gave boxes for None, expected 12 films" in broken(NoBoxes)["sample"]
    assert "expected x, y, w, h in pixels inside a film of 64" in broken(BoxOutside)["sample"]


def test_ids_of_real_cases_must_be_a_list():
    assert "expected a list of the ids of real cases" in broken(OneText)["trained_on"]


@pytest.fixture
def catalogue(monkeypatch) -> list[str]:
    """Phantoms made here; the names that were asked for."""
    asked: list[str] = []
    annotations = {
        "phantom": (Annotation.MASKS,),
        "phantom_nih-500": (Annotation.MASKS, Annotation.LABELS),
        "phantom_boxes": (Annotation.MASKS, Annotation.LABELS, Annotation.BOXES),
    }

    def find(name: str, resolution: int, progress: Progress) -> Dataset:
        asked.append(name)
        return films_of(*annotations[name])

    monkeypatch.setattr(conformance, "find_dataset", find)
    return asked


def test_the_films_of_the_check_have_what_the_provider_makes(catalogue):
    for produces in ([], [Annotation.MASKS], [Annotation.LABELS], [Annotation.BOXES], list(Annotation)):
        films = check_films(frozenset(produces), Progress())
        assert set(produces) <= films.annotations and len(films) == FILMS
        assert films.cases["source_ids"].map(list).tolist() == [[name] for name in films.ids]
    assert catalogue == ["phantom", "phantom", "phantom_nih-500", "phantom_boxes", "phantom_boxes"]


def test_films_for_labels_show_every_finding_and_healthy_ones(catalogue):
    films = check_films(frozenset({Annotation.LABELS}), Progress())
    assert films.labels().sum(axis=0).tolist() == [2, 2, 2] and (~films.labels().any(axis=1)).sum() == 18
    films = check_films(frozenset({Annotation.BOXES}), Progress())
    assert films.boxes.groupby("finding").size().to_dict() == {"Mass": 1, "Nodule": 2}


GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL))


@pytest.mark.parametrize(("module", "name"), [("blur", "Blur"), ("glo", "GLO")])
def test_the_providers_of_the_guide_keep_the_contract(catalogue, tmp_path, module, name):
    (tmp_path / f"{module}.py").write_text(EXAMPLES[module])
    plugin = find_provider(f"{tmp_path / module}.py:{name}")
    films = check_films(plugin.load().produces, Progress())
    findings = check_provider(plugin, plugin.load().presets["quick"], films, device="cpu", progress=Progress())
    assert [finding.seen for finding in findings if not finding.holds] == [] and len(findings) == 11


@pytest.mark.parametrize("name", ["copy_train", "classical", "degraded", "noise"])
def test_controls_pass_with_all_three_annotations(catalogue, name):
    plugin = find_provider(name)
    films = check_films(plugin.load().produces, Progress())
    findings = check_provider(plugin, plugin.load().presets["quick"], films, device="cpu", progress=Progress())
    assert [finding.claim for finding in findings if not finding.holds] == []
    assert "annotated with boxes, labels, masks" in findings[1].seen


def test_a_folder_need_not_have_every_annotation(catalogue, tmp_path):
    masked = films_of(Annotation.MASKS)
    bare = replace(masked, info=masked.info.model_copy(update={"findings": ()}), cases=masked.cases[["id", "patient"]])
    bare.save(tmp_path / "films")
    plugin = find_provider(f"folder:{tmp_path / 'films'}")
    films = check_films(plugin.load().produces, Progress())
    findings = check_provider(plugin, plugin.load().presets["quick"], films, device="cpu", progress=Progress())
    assert [finding.seen for finding in findings if not finding.holds] == []
    assert findings[1].seen.endswith("annotated with masks")


class Stumbles(Everything):
    """A mistake in its code, not a breach of the contract."""

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        yield self.films.cases["no such column"]


def test_what_a_provider_raises_is_named_with_its_place():
    plugin = Plugin("stumbles", "stumbles", __name__, "Stumbles")
    findings = check_provider(plugin, None, films_of(Annotation.LABELS), device="cpu", progress=Progress())
    assert not findings[-1].holds
    assert re.match(r"KeyError: 'no such column' \(.+ line \d+\)$", findings[-1].seen)
