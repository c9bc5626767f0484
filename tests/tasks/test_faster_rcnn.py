from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.localisation import box_iou
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.models.box_pictures import drawn
from cxrbench.tasks.models.detector_backbones import build_parts
from cxrbench.tasks.models.detector_settings import PAPER, PRESETS, QUICK, DetectorSettings, checkpoints_of
from cxrbench.tasks.models.encoders import encoder_options
from cxrbench.tasks.models.faster_rcnn import (
    BoxedFilms,
    Detection,
    Detector,
    Samples,
    detect,
    fit_detector,
    joined,
    kept,
    new_detector,
    samples_of,
)

TINY = replace(QUICK, width=0.125, side=64, steps=60, batch=4, check_every=30, proposals=20, box_samples=16, warmup=10)
FINDINGS = ("bright", "dark")


def squares(count, seed=0):
    """Films with a bright and a dark square on grey, one on either side; the first sample is the bright one of film 0, then
    its dark one, and so on."""
    rng = np.random.default_rng(seed)
    films = rng.integers(110, 130, (count, 48, 48)).astype(np.uint8)
    boxes, findings = [], []
    for film in films:
        left = rng.permutation([2, 26])
        for place, grey in enumerate((240, 20)):
            x, y, side = left[place] + rng.integers(0, 6), rng.integers(2, 30), rng.integers(10, 15)
            film[y : y + side, x : x + side] = grey
            boxes.append(np.array([[x, y, side, side]], dtype=np.float32))
            findings.append(np.array([place]))
    return BoxedFilms(films, np.repeat(np.arange(count), 2), boxes, findings)


def fitted(settings, samples, **given):
    detector = Detector(new_detector(2, settings, seed=0), FINDINGS)
    options = {"held_out": None, "seed": 0, "device": "cpu", "progress": Progress()} | given
    return detector, fit_detector(detector, samples, settings, **options)


def hits(network, samples, settings):
    """How many boxes the best detection of their finding meets with an IoU of 0.3."""
    found = detect(network, samples.films, settings, device="cpu")
    count = 0
    for row, boxes, findings in zip(samples.rows, samples.boxes, samples.findings, strict=True):
        own = np.flatnonzero((found.image == row) & (found.finding == findings[0]))
        assert (np.diff(found.score[own]) <= 0).all()
        count += bool(box_iou(found.box[own[0]], boxes[0]) >= 0.3)
    return count


def test_the_detector_finds_squares_and_tells_bright_from_dark():
    settings = replace(TINY, side=48, proposals=30, steps=800, check_every=800)
    detector, history = fitted(settings, squares(32))
    test = squares(12, seed=1)
    assert hits(new_detector(2, settings, seed=0), test, settings) <= 6
    assert (
        hits(detector.network, test, settings) >= 18
    )  # of 24; 12 for one that sees squares without telling them apart
    assert history.steps == 800
    assert detector.network.taught.tolist() == [True, True]


def test_every_finding_keeps_its_best_detection_however_low_its_score():
    found = detect(new_detector(6, TINY, seed=0), squares(3).films, replace(TINY, detections=8), device="cpu")
    for row in range(3):
        own = found.finding[found.image == row]
        assert len(own) == 8
        assert set(own.tolist()) == set(range(6))


def test_kept_detections_are_the_best_of_each_finding_then_the_highest_scores():
    findings, scores = np.array([0, 0, 0, 1, 2]), np.array([0.9, 0.8, 0.7, 0.1, 0.2])
    assert kept(findings, scores, 4).tolist() == [0, 1, 4, 3]
    assert kept(findings, scores, 1).tolist() == [0, 4, 3]
    assert kept(findings, scores, 9).tolist() == [0, 1, 2, 4, 3]


def boxed_films():
    info = DatasetInfo(name="three", resolution=16, findings=FINDINGS)
    cases = pd.DataFrame({"id": list("abc"), "patient": list("abc")})
    rows = [
        ("b", "dark", 2, 2, 4, 4),
        ("a", "bright", 10, 10, 9, 3),
        ("b", "bright", 0, 0, 1, 1),
        ("c", "other", 0, 0, 5, 5),
    ]
    rows += [("a", "dark", 15.99, 3, 2, 2)]
    boxes = pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])
    return Dataset(info=info, images=np.zeros((3, 16, 16), np.uint8), cases=cases, boxes=boxes)


def test_a_sample_is_a_box_or_a_film_with_all_its_boxes():
    samples = samples_of(boxed_films(), FINDINGS, merge=False)
    assert samples.rows.tolist() == [0, 1, 1]
    assert [own.tolist() for own in samples.findings] == [[0], [1], [0]]
    assert samples.boxes[0].tolist() == [[10, 10, 6, 3]]  # cut at the edge; the sliver at 15.99 is no box
    merged = samples_of(boxed_films(), FINDINGS, merge=True)
    assert merged.rows.tolist() == [0, 1]
    assert [own.tolist() for own in merged.findings] == [[0], [1, 0]]
    both = joined([samples, merged])
    assert both.rows.tolist() == [0, 1, 1, 3, 4]
    assert len(both.films) == 6


def test_a_batch_pads_films_with_fewer_boxes():
    batch = Samples(samples_of(boxed_films(), FINDINGS, merge=True)).batch(np.array([0, 1]), np.random.default_rng(0))
    assert batch["classes"].tolist() == [[1, 0], [2, 1]]
    assert batch["boxes"][1].tolist() == [[2, 2, 6, 6], [0, 0, 1, 1]]


def test_same_seed_same_weights():
    short = replace(TINY, steps=3, check_every=3)
    first, second, other = (fitted(short, squares(8), seed=seed)[0].network.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_best_held_out_checkpoint_is_chosen_and_those_of_windows_are_kept():
    settings = replace(TINY, steps=6, check_every=2, windows=(4,))
    marks = iter([0.2, 0.9, 0.4])
    detector, history = fitted(settings, squares(8), held_out=lambda network: next(marks))
    assert sorted(detector.checkpoints) == [2, 4, 6]
    chosen = detector.network.state_dict()
    assert all(torch.equal(chosen[name], value) for name, value in detector.checkpoints[4].items())
    at = detector.at(6).state_dict()
    assert any(not torch.equal(chosen[name], at[name]) for name in at)
    assert [row["validation"] for row in history.rows if "validation" in row] == [-0.2, -0.9, -0.4]
    last, _ = fitted(settings, squares(8))  # nothing held out: the last
    assert all(torch.equal(value, last.checkpoints[6][name]) for name, value in last.network.state_dict().items())


def test_windows_are_one_check_to_either_side():
    assert checkpoints_of(15_000, PAPER) == (14_500, 15_000, 15_500)
    assert checkpoints_of(15_500, PAPER) == (15_000, 15_500)


def test_gradients_are_clipped_to_the_norm_of_the_settings():
    settings = replace(TINY, clip=1e-6, rate=1.0, momentum=0.0, warmup=0, decay=False, steps=1, check_every=1)
    before = new_detector(2, settings, seed=0).state_dict()
    after = fitted(settings, squares(8))[0].network.state_dict()
    moved = sum(float(((after[name].float() - before[name].float()) ** 2).sum()) for name in before if name != "taught")
    assert moved**0.5 <= 1.01e-6


def test_the_rate_rises_then_falls():
    recipe = Detection(new_detector(2, TINY, seed=0), replace(TINY, rate=1.0, warmup=10, decay=True))
    rates = [recipe.rate(index, 100) for index in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert int(np.argmax(rates)) == 9
    assert rates[99] < 0.001
    constant = Detection(new_detector(2, TINY, seed=0), PAPER)
    assert {constant.rate(index, 15_500) for index in (0, 7_000, 15_499)} == {3e-4}


def test_presets_hold_the_papers_numbers():
    paper = PRESETS["paper"]
    assert (paper.backbone, paper.rate, paper.batch, paper.side) == ("inception_resnet_v2", 3e-4, 2, 256)
    assert (paper.steps, paper.check_every, paper.windows) == (15_500, 500, (5_000, 10_000, 15_000))
    assert DetectorSettings().backbone == "resnet50_fpn"
    for settings in PRESETS.values():
        assert all(
            0 < step <= settings.steps for middle in settings.windows for step in checkpoints_of(middle, settings)
        )


# ---------------------------------------------------------------------- backbones and weights


def test_inception_resnet_sees_films_at_stride_8_and_boxes_with_its_second_half():
    parts = build_parts(PAPER)
    with torch.no_grad():
        assert parts.trunk.eval()(torch.zeros(1, 1, 96, 96))["0"].shape[:2] == (1, 1088)
        assert max(parts.trunk(torch.zeros(1, 1, 96, 96))["0"].shape[2:]) <= 96 // 8
        assert parts.head.eval()(torch.zeros(2, 1088, 17, 17)).shape == (2, 1536)


def test_resnet50_is_torchvisions_and_has_no_batch_statistics():
    parts = build_parts(DetectorSettings())
    kinds = {type(layer).__name__ for layer in parts.trunk.modules()}
    assert "GroupNorm" in kinds
    assert "BatchNorm2d" not in kinds
    with torch.no_grad():
        maps = parts.trunk(torch.zeros(1, 1, 64, 64))
    assert [tuple(one.shape) for one in maps.values()][:2] == [(1, 256, 16, 16), (1, 256, 8, 8)]


def test_unknown_backbones_are_named():
    for name in ("vgg16", "vgg16_fpn"):
        with pytest.raises(InputError, match=r"vgg16.*resnet"):
            build_parts(replace(PAPER, backbone=name))


@pytest.fixture
def colour_weights(tmp_path):
    """Weights of a timm ResNet for colour pictures, as the backbone of TINY has it."""
    network = timm.create_model("resnet10t", pretrained=False, **encoder_options(TINY.width))
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    return network.state_dict(), tmp_path / "w.safetensors"


def test_weights_of_a_local_file_start_the_backbone_and_freeze_its_statistics(colour_weights):
    given, path = colour_weights
    network = new_detector(2, replace(TINY, weights=path), seed=0)
    own = network.state_dict()
    assert torch.equal(own["backbone.body.layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])
    first = given["conv1.0.weight"].sum(dim=1, keepdim=True)
    assert torch.equal(own["backbone.body.conv1.0.weight"], first)
    network.train()
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
    detector, _ = fitted(replace(TINY, weights=path, steps=2, check_every=2), squares(8))
    after = detector.network.state_dict()
    assert torch.equal(after["backbone.body.bn1.running_mean"], given["bn1.running_mean"])
    assert torch.equal(after["backbone.body.bn1.weight"], given["bn1.weight"])


def test_a_whole_detector_of_another_number_of_findings_starts_all_but_the_last_layer(colour_weights, tmp_path):
    _, path = colour_weights
    whole = new_detector(6, replace(TINY, weights=path), seed=3).state_dict()
    torch.save({"state_dict": whole}, tmp_path / "whole.pt")
    own = new_detector(2, replace(TINY, weights=tmp_path / "whole.pt"), seed=0).state_dict()
    other = {name for name in own if own[name].shape != whole[name].shape}
    assert {name.rpartition(".")[0] for name in other - {"taught"}} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    }
    assert all(torch.equal(own[name], whole[name]) for name in own if name not in other)


def test_a_file_without_the_backbone_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="is missing; expected a state dict of this detector or backbone"):
        new_detector(2, replace(TINY, weights=tmp_path / "other.safetensors"), seed=0)


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="not a readable state dict"):
        new_detector(2, replace(TINY, weights=tmp_path / "text.pt"), seed=0)
    with pytest.raises(InputError, match="no such file"):
        new_detector(2, replace(TINY, weights=tmp_path / "absent.pt"), seed=0)


def test_weights_of_another_shape_are_refused(colour_weights):
    _, path = colour_weights
    with pytest.raises(InputError, match="has shape"):
        new_detector(2, replace(TINY, width=0.25, weights=path), seed=0)


# ---------------------------------------------------------------------- pictures


def test_the_annotated_box_is_white_and_the_detected_one_yellow():
    picture = drawn(np.zeros((16, 16), np.uint8), (2, 2, 4, 4), (8, 8, 4, 4), side=64)
    assert picture.shape == (64, 64, 3)
    assert picture[8, 8].tolist() == [255, 255, 255]
    assert picture[32, 32].tolist() == [255, 214, 0]
    assert picture[20, 40].tolist() == [0, 0, 0]
    assert (drawn(np.zeros((16, 16), np.uint8), (2, 2, 4, 4), None, side=64) == 255).sum() % 3 == 0
