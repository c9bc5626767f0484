"""What a generator that was fitted elsewhere has learnt from: where it knows more than its arm, that stands at the gain."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.contracts.external import FolderProvider
from cxrbench.benchmark.contracts.fitted_elsewhere import NOT_DECLARED, said_of
from cxrbench.benchmark.data.augmentation import paper_augmentation
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.report.gain_words import headline_sentences
from cxrbench.benchmark.report.text_tables import terminal
from cxrbench.benchmark.results.assemble import assemble


@pytest.fixture(scope="module")
def films():
    return phantom_dataset(32).select(range(12))


@pytest.fixture
def folder(films, tmp_path):
    for name in ("images", "masks/left_lung", "masks/right_lung"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(4):
            mask = films.organ_masks(("left_lung",))[number, 0].astype(np.uint8) * 255
            Image.fromarray(films.images[number] if name == "images" else mask).save(tmp_path / name / f"{number}.png")
    return tmp_path


def facts(folder, train):
    provider = FolderProvider(str(folder))
    provider.fit(train, seed=0, progress=Progress())
    list(provider.sample(3, seed=0))
    return provider.facts()


def test_a_folder_that_does_not_say_what_it_learnt_from_is_told_so(folder, films):
    assert facts(folder, films)["noticed"].startswith(NOT_DECLARED)


def test_a_folder_that_knows_the_films_of_its_arm_alone_has_nothing_to_say(folder, films):
    (folder / "trained_on.txt").write_text("\n".join(films.ids[:8]))
    for train in (films, films.select(range(8))):
        assert facts(folder, train)["fitted_on_real_cases"] == 8
        assert "besides" not in facts(folder, train).get("noticed", "")


def test_a_folder_that_knows_more_says_how_many_also_by_the_names_of_files(folder, films):
    (folder / "trained_on.txt").write_text("\n".join(f"{one}.png" for one in films.ids))
    said = facts(folder, films.select(range(5)))["noticed"]
    assert said.startswith("fitted on 7 real films besides the 5 that this arm has")


def test_augmented_films_are_those_that_they_show(films):
    train = paper_augmentation(films.select(range(4)), 3, seed=1)
    assert said_of(films.ids[:4], train) == {"fitted_on_real_cases": 4}
    assert "besides the 4 that" in said_of(films.ids[:6], train)["noticed"]


def test_it_stands_beside_the_gain_and_is_an_alarm(fabricate):
    train = phantom_dataset(32).select(range(12))
    made = fabricate(
        sizes=("full",),
        arms=("real", "synthetic"),
        placebos=("synthetic",),
        checks={"provider": said_of(train.ids, train.select(range(3)))},
    )
    results = assemble(made.plan, made.store, [])
    sentence = "my_gan: fitted on 9 real films besides the 3 that this arm has: gain and worth include what it has seen"
    assert any(said.startswith(sentence) for said in headline_sentences(results))
    assert sentence in " ".join(terminal(results, 200).plain.split())
    assert [row.alarm for row in results.checks if row.name == "provider"] == [True]
    plain = {"provider": {"noticed": "x"}}
    declared = fabricate(name="other", arms=("real", "synthetic"), placebos=("synthetic",), checks=plain)
    assert not any("besides" in said for said in headline_sentences(assemble(declared.plan, declared.store, [])))
