"""Whose lungs find the lungs: real films for real films, and an error where there are none; how often two are found; and the
fusion that begins with both classifiers as they are alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import beta
from typer.testing import CliRunner

from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.lungs.command import app
from cxrbench.tasks.lungs.films import lung_data_for, said_of
from cxrbench.tasks.lungs.look import look_at, words_of
from cxrbench.tasks.lungs.regions import LungSettings, lung_region_generator, untrained
from cxrbench.tasks.lungs.rules import Found, boxes_of, found_in
from cxrbench.tasks.models.sdfn_settings import Kind
from cxrbench.tasks.nih_classification import QUICK, NihClassification

torch.set_num_threads(1)

LUNGS = LungSettings(resolution=16, width=0.125, rate=1e-2, epochs=2)
TINY = replace(
    QUICK.classifier,
    resolution=16,
    growth=4,
    blocks=(1, 1),
    batch=8,
    least_steps=0,
    most_steps=4,
    fusion_epochs=2,
    lungs=LUNGS,
)


def lungs(name: str, provenance: str = "made for tests") -> Dataset:
    """Twenty people with two dark lungs each."""
    rng = np.random.default_rng(2)
    images = rng.integers(150, 256, (20, 16, 16), dtype=np.uint8)
    masks = np.zeros_like(images)
    masks[:, 3:13, 9:14], masks[:, 3:13, 2:7] = 1, 2
    images[masks != 0] //= 3
    cases = pd.DataFrame({"id": [f"p{row:02d}" for row in range(20)], "patient": [f"p{row:02d}" for row in range(20)]})
    info = DatasetInfo(name=name, resolution=16, organs=("left_lung", "right_lung"), provenance=provenance)
    return Dataset(info, images, cases, masks)


def ward(provenance: str = "") -> Dataset:
    """Forty people, half of them tested; a finding that brightens a corner, and one that does nothing."""
    rng = np.random.default_rng(4)
    images = lungs("x").images.repeat(2, axis=0)
    labels = rng.integers(0, 2, (40, 2)).astype(np.uint8)
    images[:, :5, :5] = np.clip(images[:, :5, :5].astype(int) - 90 * labels[:, :1, None], 0, 255)
    ids = [f"w{row:02d}" for row in range(40)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": ["train", "train", "train", "test"] * 10})
    cases = cases.assign(Mass=labels[:, 0], Nodule=labels[:, 1])
    info = DatasetInfo(name="ward", resolution=16, findings=("Mass", "Nodule"), provenance=provenance)
    return Dataset(info, images, cases)


def task(kind: Kind, **changed) -> NihClassification:
    return NihClassification(
        replace(QUICK, resolution=16, fit_resolution=16, classifier=replace(TINY, kind=kind, **changed))
    )


# ------------------------------------------------------------------------------------------- whose lungs


def test_phantoms_keep_the_phantom_and_real_films_take_real_ones_jsrt_before_others():
    assert lung_data_for(phantom=True) == "phantom"
    keep(lungs("kermany_lungs"))
    assert lung_data_for(phantom=False) == "kermany_lungs"
    keep(lungs("jsrt_scr"))
    assert lung_data_for(phantom=False) == "jsrt_scr"
    assert lung_data_for(phantom=True) == "phantom"


def test_real_films_without_real_lungs_are_an_error_that_says_what_to_do():
    with pytest.raises(InputError) as error:
        task(Kind.LUNG).settled(phantom=False)
    said = str(error.value)
    assert "\n" not in said and "found neither jsrt_scr nor kermany_lungs" in said
    assert "cxrbench data import jsrt FOLDER" in said and "--set task.classifier.lung_data=NAME" in said


def test_the_phantom_is_taken_for_real_films_where_it_is_named_and_the_table_says_so():
    chosen = task(Kind.SDFN, lung_data="phantom").settled(phantom=False)
    assert chosen.settings.classifier.lung_data == "phantom"
    assert list(chosen.remarks()) == [
        "lung regions are found by a U-Net that was trained on phantom (procedural films: not for lungs of real ones)"
    ]


def test_what_was_decided_is_in_the_settings_of_every_key():
    keep(lungs("kermany_lungs", "Kermany et al. 2018; paediatric"))
    decided = task(Kind.LUNG).settled(phantom=False)
    assert decided.settings.classifier.lung_data == "kermany_lungs"
    assert decided.settled(phantom=False).settings == decided.settings
    assert list(decided.remarks()) == [
        "lung regions are found by a U-Net that was trained on kermany_lungs (Kermany et al. 2018; paediatric)"
    ]
    assert decided.depends_on("cpu")["lung_regions"] == lung_region_generator(LUNGS, "kermany_lungs").record.key


def test_entire_films_need_no_lungs_and_say_nothing_of_them():
    decided = task(Kind.ENTIRE).settled(phantom=False)  # nothing is imported
    assert decided.settings.classifier.lung_data == "" and list(decided.remarks()) == []
    assert (
        task(Kind.ENTIRE).settled(phantom=True).settings.classifier.lung_data == "phantom"
    )  # as keys have it since ever


def test_a_generator_of_a_name_that_is_gone_is_still_called_by_it():
    assert said_of("nothing here") == "nothing here"


# ------------------------------------------------------------------------------------------- the fusion and its parts


def trained(protocol: NihClassification, parts: dict | None = None):
    data = ward()
    slot = Slot("official", "full", ArmName.REAL)
    arm = Arm(ArmName.REAL, protocol.training_set(data, slot), validation=protocol.validation_set(data, slot))
    done = protocol.train(replace(arm, parts=parts or {}), seed=1, device="cpu", progress=Progress())
    return done, protocol.predict(done.model, protocol.test_set(data, slot), device="cpu").arrays["logits"]


def test_the_fusion_of_both_trained_classifiers_is_bit_for_bit_that_which_trains_its_own():
    keep(lungs("kermany_lungs"))
    fusion = task(Kind.SDFN).settled(phantom=False)
    own, alone = trained(fusion)
    assert list(own.histories) == ["real: entire", "real: lung", "real: fusion"]
    parts = {name: trained(part)[0].model for name, part in fusion.parts().items()}
    put_together, logits = trained(fusion, parts)
    assert list(put_together.histories) == ["real: fusion"]
    assert logits.tobytes() == alone.tobytes()
    for name in ("entire", "lung"):
        ours, theirs = own.model.branches()[name].state_dict(), parts[name].branches()[name].state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_only_the_fusion_has_parts_and_they_differ_from_it_by_their_kind_alone():
    fusion = task(Kind.SDFN, lung_data="kermany_lungs")
    assert task(Kind.ENTIRE).parts() == task(Kind.LUNG).parts() == {}
    assert {name: part.settings.classifier.kind for name, part in fusion.parts().items()} == {
        "entire": Kind.ENTIRE,
        "lung": Kind.LUNG,
    }
    for part in fusion.parts().values():
        assert replace(part.settings.classifier, kind=Kind.SDFN) == fusion.settings.classifier


# ------------------------------------------------------------------------------------------- how often two are found


def drawn(*rectangles: tuple[int, int, int, int], side: int = 64) -> np.ndarray:
    """A mask with rectangles (left, top, right, bottom), ends excluded."""
    mask = np.zeros((side, side), dtype=bool)
    for left, top, right, bottom in rectangles:
        mask[top:bottom, left:right] = True
    return mask


LEFT, RIGHT = (8, 10, 24, 50), (38, 12, 56, 48)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (drawn(), Found.NONE),
        (drawn(LEFT), Found.ONE),
        (drawn(LEFT, RIGHT), Found.TWO),
        (drawn((8, 10, 20, 40), (38, 10, 42, 40)), Found.TWO),  # exactly a third
        (drawn((8, 10, 20, 40), (38, 10, 42, 39)), Found.UNEQUAL),
        (drawn(LEFT, RIGHT, (30, 55, 34, 60)), Found.MORE),
    ],
)
def test_what_a_mask_holds_by_hand(mask, expected):
    assert found_in(mask) is expected


class Given:
    """A generator that finds the masks it is given, whatever the films."""

    def __init__(self, masks: np.ndarray) -> None:
        self.all, self.next = masks, 0

    def masks(self, films: np.ndarray) -> np.ndarray:
        self.next += len(films)
        return self.all[self.next - len(films) : self.next]


def test_every_film_is_counted_once_and_the_interval_is_clopper_pearsons():
    masks = np.stack([drawn(LEFT, RIGHT)] * 17 + [drawn(LEFT)] * 2 + [drawn()])
    films = replace(lungs("films"), masks=None, info=DatasetInfo(name="films", resolution=16))
    looked = look_at(Given(masks), films)
    assert looked.counts() == {Found.TWO: 17, Found.MORE: 0, Found.UNEQUAL: 0, Found.ONE: 2, Found.NONE: 1}
    assert (looked.boxes == boxes_of(masks, side=16)).all()
    record = lung_region_generator(LUNGS, str(keep(lungs("chests")).folder)).record
    low, high = beta.ppf(0.025, 17, 4), beta.ppf(0.975, 18, 3)
    assert f"two plausible regions: 17 = 85.00 % ({100 * low:.2f} to {100 * high:.2f})" in words_of(
        looked, record, films
    )
    few = look_at(Given(masks), films, count=7)
    assert len(few.ids) == 7 == sum(few.counts().values()) and few.ids == [films.ids[row] for row in few.rows]


def test_a_network_that_knows_nothing_is_looked_at_too():
    films = lungs("films")
    assert len(look_at(untrained(LUNGS), films).found) == 20


def test_the_command_counts_and_draws_pages_with_masks_and_boxes(tmp_path):
    keep(lungs("kermany_lungs"))
    keep(ward())
    tiny = [f"--set={key}={getattr(LUNGS, key)}" for key in ("resolution", "width", "rate")] + ["--set=epochs=30"]
    words = ["look", "--data", "ward", "--device", "cpu", "--shown", "3", "--out", str(tmp_path / "pages"), *tiny]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exception is None, done.exception
    said = json.loads(done.stdout)
    assert said["lung_data"] == "kermany_lungs" and said["films"] == 40
    assert sum(said[kind.value] for kind in Found) == 40
    table = pd.read_csv(tmp_path / "pages" / "regions.csv")
    assert list(table["id"]) == ward().ids and table["found"].value_counts()[Found.TWO] == said[Found.TWO] > 0
    page = np.asarray(Image.open(tmp_path / "pages" / "two_regions.png"))
    red = (page[..., 0].astype(int) - page[..., 1] > 40) & (page[..., 0].astype(int) - page[..., 2] > 40)
    green = (page[..., 1] > 200) & (page[..., 0] < 120) & (page[..., 2] < 120)
    assert red.any() and green.any()
    again = CliRunner().invoke(app, words)
    assert "trained on kermany_lungs (made for tests)" in again.stdout and "95.84 %" in again.stdout


def test_the_command_refuses_real_films_without_real_lungs():
    keep(ward())
    done = CliRunner().invoke(app, ["look", "--data", "ward", "--device", "cpu"])
    assert isinstance(done.exception, InputError) and "found neither jsrt_scr" in str(done.exception)
