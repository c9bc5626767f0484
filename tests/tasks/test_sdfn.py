"""The findings classifiers of the fusion paper: sizes, schedule, fusion on frozen features, activation maps, weights."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import plain, restore
from cxrbench.benchmark.training.loop import train
from cxrbench.benchmark.training.stopping import Patience, Validation
from cxrbench.tasks.lungs.regions import LungSettings
from cxrbench.tasks.models.activation_maps import activation_maps, branch_maps, fused, overlay, scaled
from cxrbench.tasks.models.densenet import FindingsNet
from cxrbench.tasks.models.labelled_films import Flipped, FlippedFeatures, LabelledFilms, as_input
from cxrbench.tasks.models.saved import save_weights
from cxrbench.tasks.models.sdfn import (
    FindingsClassifier,
    FindingsTraining,
    cross_entropy,
    fit_classifier,
    load_classifier,
    new_classifier,
)
from cxrbench.tasks.models.sdfn_settings import PAPER, PRESETS, ClassifierSettings, Kind

torch.set_num_threads(1)

TINY = ClassifierSettings(
    resolution=16,
    growth=4,
    blocks=(2, 2),
    rate=1e-2,
    batch=8,
    epochs=4,
    fusion_rate=1e-2,
    fusion_epochs=4,
    lungs=LungSettings(resolution=16, width=0.125),
)
BOXES = np.array([[2, 1, 14, 13]])


def films(n: int, *, side: int = 16, seed: int = 0) -> LabelledFilms:
    """Two findings: a bright upper half, a bright lower half. All lungs lie in the middle of the film."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, 2)).astype(np.uint8)
    images = rng.integers(0, 120, (n, side, side))
    images[:, : side // 2] += 90 * labels[:, 0, None, None]
    images[:, side // 2 :] += 90 * labels[:, 1, None, None]
    return LabelledFilms(images.astype(np.uint8), labels, np.repeat(BOXES, n, axis=0))


def fitted(settings: ClassifierSettings, *, n: int = 48, seed: int = 0) -> FindingsClassifier:
    classifier = new_classifier(2, settings, seed=seed)
    fit_classifier(classifier, films(n), films(16, seed=1), settings, seed=seed, device="cpu", progress=Progress())
    return classifier


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_come_back_from_json_as_they_were(preset):
    assert restore(PAPER, json.loads(json.dumps(plain(PRESETS[preset])))) == PRESETS[preset]


# ---------------------------------------------------------------------- the networks


def test_densenet121_with_14_outputs_has_6968206_parameters():
    network = FindingsNet(14)
    assert sum(weight.numel() for weight in network.parameters()) == 6_968_206
    assert network.width == 1024


def test_a_film_of_224_pixels_has_last_maps_of_7():
    with torch.no_grad():
        assert FindingsNet(14).eval().last_maps(torch.zeros(1, 1, 224, 224, dtype=torch.uint8)).shape == (1, 1024, 7, 7)


def test_the_paper_preset_is_the_papers():
    s = PRESETS["paper"]
    assert (s.resolution, s.growth, s.blocks) == (224, 32, (6, 12, 24, 16))
    assert (s.rate, s.decay, s.batch, s.epochs, s.stall, s.drop) == (1e-4, 1e-5, 16, 100, 5, 0.1)
    assert (s.fusion_rate, s.fusion_epochs, s.patience) == (1e-4, 100, 100)
    assert not s.most_steps and not s.least_steps
    assert new_classifier(14, PAPER, seed=0).fusion.weight.shape == (14, 2048)


def test_films_are_normalised_as_imagenet_in_three_equal_channels():
    network, seen = FindingsNet(2, growth=4, blocks=(1,)), []
    network.maps.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(torch.full((1, 1, 32, 32), 255, dtype=torch.uint8))
    expected = [(1 - mean) / spread for mean, spread in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][0, :, 5, 5].tolist() == pytest.approx(expected, rel=1e-5)


def test_a_logit_is_the_average_of_its_activation_map_and_an_offset():
    network = FindingsNet(3, growth=4, blocks=(2, 2)).eval()
    given = as_input(films(4).images)
    maps = torch.einsum("ck,bkhw->bchw", network.head.weight, network.last_maps(given))
    assert torch.allclose(network(given), maps.mean(dim=(2, 3)) + network.head.bias, atol=1e-5)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_weights_of_a_local_file_are_the_extractors_start_and_the_head_is_new(tmp_path, name):
    given = timm.models.densenet.DenseNet(growth_rate=4, block_config=(2, 2), num_classes=1000).state_dict()
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save({"state_dict": given}, path)
    else:
        save_file(given, path)
    network = FindingsNet(2, growth=4, blocks=(2, 2), weights=path)
    assert all(torch.equal(value, given[f"features.{key}"]) for key, value in network.maps.state_dict().items())
    assert network.head.weight.shape == (2, network.width)


def test_torchvisions_densenet121_is_taken_also_by_the_old_names_of_its_keys(tmp_path):
    theirs = torchvision.models.densenet121(weights=None)
    old = {re.sub(r"(norm|conv)([12])\.", r"\1.\2.", name).replace("features.conv.0", "features.conv0"): value
           for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}  # fmt: skip
    assert any("denselayer1.norm.1.weight" in name for name in old)
    torch.save(old, tmp_path / "densenet121.pth")
    ours = FindingsNet(2, weights=tmp_path / "densenet121.pth").eval()
    films = torch.randint(0, 256, (1, 1, 64, 64), dtype=torch.uint8)
    given = (films.float() / 255 - ours.mean) / ours.spread
    expected = theirs.eval().features(given).relu()
    torch.testing.assert_close(ours.last_maps(films), expected, rtol=1e-4, atol=1e-5)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path):
    def refused(path, message):
        with pytest.raises(InputError, match=message) as caught:
            FindingsNet(2, growth=4, blocks=(2, 2), weights=path)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "absent.pt", "no such file")
    (tmp_path / "text.safetensors").write_text("no weights")
    refused(tmp_path / "text.safetensors", "not a readable state dict")
    (tmp_path / "text.pt").write_text("no weights")
    refused(tmp_path / "text.pt", "not a readable state dict")
    torch.save(nn.Linear(2, 2), tmp_path / "pickled.pt")
    refused(tmp_path / "pickled.pt", "not a readable state dict")
    save_file(
        timm.models.densenet.DenseNet(growth_rate=8, block_config=(2, 2)).state_dict(), tmp_path / "wide.safetensors"
    )
    refused(tmp_path / "wide.safetensors", "has shape")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "is missing")


# ---------------------------------------------------------------------- the schedule


def test_the_loss_is_the_mean_cross_entropy_of_the_findings():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (20, 3)), rng.integers(0, 2, (20, 3))
    expected = np.mean([log_loss(labels[:, c], 1 / (1 + np.exp(-logits[:, c]))) for c in range(3)])
    assert cross_entropy(logits, labels) == pytest.approx(expected)
    assert cross_entropy(np.array([[1000.0, -1000.0]]), np.array([[1, 0]])) == 0


def test_the_rate_decays_with_every_update_and_falls_to_a_tenth_after_five_stalled_validations():
    settings = replace(TINY, rate=0.01, decay=0.5, stall=5, drop=0.1)
    recipe = FindingsTraining(nn.Linear(2, 2), settings, rate=0.01)
    rates: list[float] = []
    step = recipe.step

    def noted(batch, at):
        losses = step(batch, at)
        rates.append(recipe.optimizer.param_groups[0]["lr"])
        return losses

    recipe.step = noted
    checks = iter([1.0] + [2.0] * 5 + [0.5, 3.0])  # falls, stalls five times, falls

    def measure() -> float:
        recipe.validated(next(checks))
        return 0.0

    source = FlippedFeatures(np.zeros((2, 4, 2), np.float32), np.zeros((4, 2)))
    train(recipe, source, steps=8, seed=0, validation=Validation(measure, every=1, stop=Patience(100)))
    assert rates == pytest.approx([0.01 / (1 + 0.5 * t) * (1 if t < 6 else 0.1) for t in range(8)])


def test_a_training_that_goes_on_from_a_checkpoint_knows_how_long_it_has_stalled():
    recipe = FindingsTraining(nn.Linear(2, 2), TINY, rate=0.01)
    kept = recipe.optimizers()["adam"]
    for loss in (1.0, 2.0, 2.0):
        recipe.validated(loss)
    again = FindingsTraining(nn.Linear(2, 2), TINY, rate=0.01)
    again.optimizers()["adam"].load_state_dict(kept.state_dict())
    for loss in (2.0, 2.0, 2.0):
        again.validated(loss)
    assert again.optimizer.param_groups[0]["base"] == pytest.approx(0.001)


def test_films_are_mirrored_left_to_right_and_never_upside_down():
    film = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    source = Flipped(film.copy(), np.ones((1, 2)))
    seen = [source.batch(np.zeros(8, np.intp), np.random.default_rng(seed))["input"][:, 0].numpy() for seed in range(4)]
    same = sum(np.array_equal(one, film[0]) for batch in seen for one in batch)
    mirrored = sum(np.array_equal(one, film[0, :, ::-1]) for batch in seen for one in batch)
    assert same + mirrored == 32 and 6 < mirrored < 26
    assert np.array_equal(source.films, film)  # the films themselves stay as they are


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_learns_two_easy_findings(kind):
    classifier, test = fitted(replace(TINY, kind=kind, epochs=10, fusion_epochs=15), n=80), films(64, seed=2)
    logits = classifier.logits(test.images, test.boxes)
    assert logits.shape == (64, 2) and logits.dtype == np.float32
    assert roc_auc_score(test.labels, logits) > 0.85


def test_the_best_validation_auc_is_kept():
    settings, held = replace(TINY, kind=Kind.ENTIRE, epochs=8), films(40, seed=1)
    classifier = new_classifier(2, settings, seed=0)
    histories = fit_classifier(classifier, films(48), held, settings, seed=0, device="cpu", progress=Progress())
    values = [row["validation"] for row in histories["entire"].rows if "validation" in row]
    assert len(values) == 8
    assert 1 - roc_auc_score(held.labels, classifier.logits(held.images)) == pytest.approx(min(values))


def test_the_last_network_is_kept_where_the_settings_say_so():
    """Validation labels that are chance: the first network may be as good as the last."""
    settings, real = replace(TINY, kind=Kind.ENTIRE, epochs=8, keep_best=False), films(40, seed=1)
    held = replace(real, labels=np.random.default_rng(0).permutation(real.labels))
    classifier = new_classifier(2, settings, seed=0)
    histories = fit_classifier(classifier, films(48), held, settings, seed=0, device="cpu", progress=Progress())
    values = [row["validation"] for row in histories["entire"].rows if "validation" in row]
    assert values[-1] > min(values)
    assert 1 - roc_auc_score(held.labels, classifier.logits(held.images)) == pytest.approx(values[-1])


def test_the_branches_stay_as_they_are_while_the_fusion_is_trained():
    slow, fast = fitted(TINY), fitted(replace(TINY, fusion_rate=5e-2))
    for name, network in slow.branches().items():
        other = fast.branches()[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in network.state_dict().items())
    assert not torch.equal(slow.fusion.weight, fast.fusion.weight)


def test_features_of_the_fusion_are_those_that_a_prediction_uses():
    classifier, test = fitted(TINY), films(6, seed=3)
    views = {name: as_input(view) for name, view in classifier.views(test.images, test.boxes).items()}
    with torch.no_grad():
        features = torch.cat([network.features(views[name]) for name, network in classifier.branches().items()], dim=1)
        expected = classifier.fusion(features).numpy()
    assert np.allclose(classifier.logits(test.images, test.boxes), expected, atol=1e-5)


def test_training_twice_gives_the_same_weights_and_another_seed_gives_others():
    one, two, other = (fitted(TINY, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["entire.head.weight"], other["entire.head.weight"])


def test_lengths_are_passes_with_a_floor_and_a_cap():
    def steps(**changes):
        settings = replace(TINY, kind=Kind.ENTIRE, batch=8, epochs=3, **changes)
        classifier = new_classifier(2, settings, seed=0)
        held = films(8, seed=1)
        given = fit_classifier(classifier, films(20), held, settings, seed=0, device="cpu", progress=Progress())
        return given["entire"].steps

    assert steps() == 9  # 20 films are 3 batches of 8
    assert steps(least_steps=14) == 14
    assert steps(most_steps=5) == 5


def test_validation_films_of_one_label_value_choose_by_the_loss():
    settings, held = replace(TINY, kind=Kind.ENTIRE), films(8, seed=1)
    held = replace(held, labels=np.zeros_like(held.labels))
    classifier = new_classifier(2, settings, seed=0)
    histories = fit_classifier(classifier, films(48), held, settings, seed=0, device="cpu", progress=Progress())
    lowest = min(row["validation"] for row in histories["entire"].rows if "validation" in row)
    assert math.isfinite(lowest)
    assert cross_entropy(classifier.logits(held.images), held.labels) == pytest.approx(lowest, rel=1e-5)


def test_a_model_on_disk_holds_all_that_it_needs(tmp_path):
    classifier, test = fitted(TINY), films(5, seed=4)
    with torch.no_grad():
        classifier.regions.mean.fill_(0.123)
        for weight in classifier.regions.network.classify.parameters():
            weight.fill_(0.01)
    save_weights(classifier, tmp_path / "model.safetensors")
    loaded = load_classifier(tmp_path / "model.safetensors", 2, replace(TINY, weights=tmp_path / "gone.safetensors"))
    assert np.array_equal(loaded.boxes(test.images), classifier.boxes(test.images))
    assert np.array_equal(loaded.logits(test.images), classifier.logits(test.images))


def test_films_of_another_size_are_brought_to_the_networks():
    classifier = new_classifier(2, TINY, seed=0)
    views = classifier.views(films(3, side=48).images, np.repeat(BOXES * 3, 3, axis=0))
    assert {name: view.shape for name, view in views.items()} == {"entire": (3, 16, 16), "lung": (3, 16, 16)}


def test_as_many_labels_as_films_are_expected():
    with pytest.raises(InputError, match="as many"):
        LabelledFilms(np.zeros((3, 4, 4), np.uint8), np.zeros((2, 14)))


# ---------------------------------------------------------------------- activation maps


def test_branch_maps_are_equations_5_and_6():
    classifier, given = new_classifier(2, TINY, seed=0).eval(), films(3)
    findings = np.array([1, 0, 1])
    maps = branch_maps(classifier, given.images, findings, given.boxes)
    views, width = classifier.views(given.images, given.boxes), classifier.entire.width
    for name, network, offset in (("entire", classifier.entire, 0), ("lung", classifier.lung, width)):
        last = network.last_maps(as_input(views[name])).detach().numpy()
        weight = classifier.fusion.weight.detach().numpy()
        for film, finding in enumerate(findings):
            expected = sum(weight[finding, offset + j] * last[film, j] for j in range(network.width))
            assert np.allclose(maps[name][film], expected, atol=1e-4)


def test_the_lungs_map_is_added_in_its_box_and_is_lowest_outside():
    lung = np.array([[3, 5], [5, 5]], np.float32)
    heat = fused((8, 8), {"entire": np.full((2, 2), 1.0, np.float32), "lung": lung}, np.array([2, 1, 4, 3]))
    expected = np.full((8, 8), 1.0 + 3)
    expected[1:3, 2:4] = 1 + lung
    assert np.allclose(heat, expected)
    alone = fused((8, 8), {"lung": lung}, np.array([2, 1, 4, 3]))
    assert np.allclose(alone, expected - 1)


def test_the_entire_films_map_fills_the_film():
    heat = fused((4, 8), {"entire": np.array([[1, 3]], np.float32)}, None)
    assert heat.shape == (4, 8)
    assert heat[0].tolist() == heat[3].tolist() and heat[0, 0] == 1 and heat[0, 7] == 3


def test_maps_are_scaled_from_0_to_255():
    assert scaled(np.array([[-2.0, 0.0, 2.0]])).tolist() == [[0, 127.5, 255]]
    assert scaled(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("kind", list(Kind))
def test_maps_have_the_size_of_the_film_and_the_batch_changes_nothing(kind):
    classifier, given = new_classifier(2, replace(TINY, kind=kind), seed=0), films(5, side=32)
    boxes = None if kind is Kind.ENTIRE else given.boxes * 2
    maps = activation_maps(classifier, given.images, [0, 1, 0, 1, 1], boxes=boxes)
    assert maps.shape == (5, 32, 32)
    assert maps.min() == 0 and maps.max() == pytest.approx(255)
    assert np.allclose(maps, activation_maps(classifier, given.images, [0, 1, 0, 1, 1], boxes=boxes, batch=2), atol=0.1)


def test_the_map_of_a_finding_is_hot_where_it_is():
    """Bright upper halves: the map of the first finding is hotter above than below."""
    classifier = fitted(replace(TINY, kind=Kind.ENTIRE, epochs=12), n=96)
    test = films(40, seed=5)
    rows = np.flatnonzero((test.labels == [1, 0]).all(axis=1))
    maps = activation_maps(classifier, test.images[rows], np.zeros(len(rows), int))
    assert maps[:, :8].mean() > maps[:, 8:].mean() + 20


def test_an_overlay_is_red_where_the_map_is_high_and_blue_where_it_is_low():
    heat = np.zeros((32, 32), np.float32)
    heat[:, 16:] = 255
    picture, caption = overlay(np.full((32, 32), 100, np.uint8), heat, "Pleural_Thickening", 0.834)
    assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
    assert picture[5, 28, 0] > picture[5, 28, 2] and picture[5, 3, 2] > picture[5, 3, 0]
    assert caption == "Pleural Thickening 0.83"


def test_an_overlay_outlines_the_annotated_boxes():
    film, heat = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.float32)
    plain, _ = overlay(film, heat, "Mass", 0.5)
    picture, _ = overlay(film, heat, "Mass", 0.5, boxes=[(10, 20, 30, 15)])
    changed = (picture != plain).any(axis=2)
    outline = np.zeros((64, 64), bool)
    outline[20:35, 10:40] = True
    outline[21:34, 11:39] = False
    assert np.array_equal(changed, outline)
    assert (picture[outline] == 255).all()


def test_an_enlarged_overlay_has_its_boxes_enlarged_too():
    film, heat = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.float32)
    plain, _ = overlay(film, heat, "Mass", 0.5, side=64)
    picture, _ = overlay(film, heat, "Mass", 0.5, boxes=[(4, 4, 8, 8)], side=64)
    rows, columns = np.nonzero((picture != plain).any(axis=2))
    assert picture.shape == (64, 64, 3)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 47, 16, 47)
