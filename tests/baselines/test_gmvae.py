"""GMVAE and FS-GMVAE against the counts of their paper, torchvision's encoders and torch's distributions, and the
providers on small films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torchvision.models.vgg import cfgs, make_layers

from cxrbench.baselines import gmvae
from cxrbench.baselines.gmvae import TABLE_4, GMVAERecipe, LabelRows, make_generative, make_posterior
from cxrbench.baselines.gmvae_networks import (
    Encoder,
    Generative,
    MixturePrior,
    feature_maps,
    gaussian,
    load_features,
    make_decoder,
    positive,
)
from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded
from cxrbench.benchmark.training.recipe import Step

SIDE = 32
VERSIONS = {
    cls.name: cls for cls in vars(gmvae).values() if isinstance(cls, type) and issubclass(cls, gmvae.GMVAE) and cls.name
}
FINDINGS = ("Cardiomegaly", "Effusion")


def count(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


def tiny(version: str, steps: int = 3, **changes: object) -> gmvae.GMVAESettings:
    small = {"side": SIDE, "batch_size": 8, "least_steps": steps, "most_steps": steps, "timeline": 1}
    return replace(VERSIONS[version].presets["quick"], **{**small, **changes})


def discs(films: int = 32, findings: tuple[str, ...] = FINDINGS) -> Dataset:
    """A light disc on a dark ground, large where the film has cardiomegaly."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    large = np.arange(films) % 2
    radii = np.where(large, 13, 6)[:, None, None]
    images = np.where(rows**2 + columns**2 < radii**2, 200, 30).astype(np.uint8)
    ids = [f"case{index}" for index in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "Cardiomegaly": large, "Effusion": np.arange(films) % 4 == 3})
    return Dataset(DatasetInfo(name="discs", resolution=SIDE, findings=findings), images, cases)


def test_encoders_and_decoders_have_the_exact_parameter_counts():
    vgg = count(Encoder("vgg16", 1.0, frozen=False))
    one, two = (count(make_decoder(name, 1000, 224, normalise=True).layers) for name in ("decoder1", "decoder2"))
    assert (vgg, one, two) == (14_714_688, 1_920, 172_800)
    assert (vgg + one, vgg + two) == (14_716_608, 14_887_488)
    assert count(Encoder("densenet121", 1.0, frozen=False)) == 6_953_856


# head, latents to first map, mixture: what the paper does not count, from Z, K and the layers of Table 4
UNCOUNTED = {
    "gmvae_v3": (50_178_000, 2_746_744, 100_000),
    "gmvae_v4": (756_500, 2_746_744, 100_000),
    "gmvae_v5": (50_178_000, 25_113_088, 100_000),
    "gmvae_v6": (1_512_100, 50_201_088, 1_200_000),
    "gmvae_v7": (100_356_000, 50_201_088, 1_200_000),
    "gmvae_v8": (1_358_500, 50_201_088, 1_200_000),
    "fs_gmvae_v1": (756_500, 0, 100_000),
    "fs_gmvae_v3": (756_500, 2_785_160, 100_000),
}


@pytest.mark.parametrize("version", UNCOUNTED)
def test_heads_first_maps_and_mixtures_have_the_counts_of_table_4(version):
    with torch.device("meta"):
        settings = VERSIONS[version].presets["paper"]
        posterior = make_posterior(settings)
        made = make_generative(settings, 14 if version.startswith("fs") else 0)
    counts = (count(posterior) - count(posterior[0]), count(made.decoder.to_map), count(made.prior))
    assert counts == UNCOUNTED[version]
    features = posterior[0].maps * 7 * 7
    assert settings.transition or posterior[-1].in_features == features


def test_versions_are_the_rows_of_table_4():
    assert set(VERSIONS) == set(TABLE_4) and len(TABLE_4) == 9
    unnormalised = {name for name, row in TABLE_4.items() if not row.normalise}
    assert unnormalised == {"fs_gmvae_v2", "gmvae_v7"}
    assert {name for name, row in TABLE_4.items() if row.encoder == "densenet121"} == {"gmvae_v6"}
    assert {name for name, row in TABLE_4.items() if row.decoder == "linear"} == {"fs_gmvae_v1", "fs_gmvae_v2"}
    paper = TABLE_4["gmvae_v3"]
    assert (paper.learning_rate, paper.beta, paper.epochs, paper.batch_size) == (1e-4, 1.0, 1.0, 64)
    assert (paper.side, paper.width, paper.equalise, paper.recon_reduction) == (224, 1.0, True, "mean")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_what_it_makes_and_does(version):
    cls, films = VERSIONS[version], discs()
    assert {one.value for one in cls.produces} == ({"labels"} if version.startswith("fs") else set())
    assert version.rsplit("_", 1)[1].upper() in cls.__doc__.split("\n")[0]
    provider = cls(tiny(version))
    provider.fit(films, seed=0, progress=Progress())
    made = collect(version, provider, films, 5, seed=0, progress=Progress())
    assert made.images.shape == (5, SIDE, SIDE)
    assert made.info.findings == (FINDINGS if version.startswith("fs") else ())
    assert provider.parameter_count() == count(provider.generative)
    assert provider.weights_used == "none" and provider.timeline()[1].shape[0] == 1


def test_the_mixture_is_that_of_torch_distributions():
    with seeded(0):
        prior, codes = MixturePrior(4, 3), torch.randn(6, 3)
    nn.init.normal_(prior.raw, generator=torch.Generator().manual_seed(1))
    means, variances = prior.gaussians()
    parts = Independent(Normal(means, variances.sqrt()), 1)
    expected = MixtureSameFamily(Categorical(torch.ones(4)), parts)
    assert torch.allclose(prior.log_density(codes), expected.log_prob(codes), atol=1e-5)
    drawn = prior.draw(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), expected.mean, atol=0.05)
    assert torch.allclose(drawn.var(0), expected.variance, atol=0.15)


def test_the_log_density_of_a_gaussian_is_that_of_torch_distributions():
    codes, mean, variance = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    variance = positive(variance)
    expected = Normal(mean, variance.sqrt()).log_prob(codes).sum(-1)
    assert torch.allclose(gaussian(codes, mean, variance), expected, atol=1e-5)


def test_normalised_colours_come_back_as_the_grey_film():
    films = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for normalise in (True, False):
        made = Generative(MixturePrior(2, 3), nn.Identity(), normalise=normalise)
        colours = made.colours(films)
        assert colours.shape == (2, 3, 8, 8)
        assert torch.allclose(made.films(colours, None), films[:, 0], atol=1e-6)
    expected = (films[:, 0] - 0.485) / 0.229
    assert torch.allclose(Generative(MixturePrior(2, 3), nn.Identity(), normalise=True).colours(films)[:, 0], expected)


def test_a_step_goes_down_the_negative_elbo_with_labels_at_the_decoder():
    films, labels = discs(8).images, discs(8).labels()
    settings = tiny("fs_gmvae_v3", beta=0.5, timeline=0)
    with seeded(0):
        trained, by_hand = (GMVAERecipe(films, labels, settings) for _ in range(2))
    for one, other in zip(trained.networks().values(), by_hand.networks().values(), strict=True):
        one.load_state_dict(other.state_dict())
        other.train()
    trained.optimizers()
    with seeded(1):
        trained.step({"rows": torch.arange(8)}, Step(0, 3, make_fabric("cpu", float32=True)))
    colours = by_hand.generative.colours(torch.from_numpy(films)[:, None].float() / 255)
    mean, raw = by_hand.posterior(colours).chunk(2, dim=1)
    posterior = Normal(mean, positive(raw).sqrt())
    with seeded(1):
        codes = mean + positive(raw).sqrt() * torch.randn_like(mean)
    made = by_hand.generative.decoder(torch.cat([codes, torch.from_numpy(labels).float()], dim=1))
    kl = posterior.log_prob(codes).sum(1) - by_hand.generative.prior.log_density(codes)
    loss = ((made - colours).square().sum(dim=(1, 2, 3)) + 0.5 * kl).mean()
    for network in ("generative", "posterior"):
        expected = torch.autograd.grad(loss, list(getattr(by_hand, network).parameters()), retain_graph=True)
        scale = max(float(gradient.abs().max()) for gradient in expected)
        for weight, gradient in zip(getattr(trained, network).parameters(), expected, strict=True):
            assert torch.allclose(weight.grad, gradient, rtol=1e-3, atol=1e-4 * scale)


def test_samples_show_the_findings_of_their_labels(tmp_path):
    films = discs()
    provider = gmvae.FSGMVAEV2(tiny("fs_gmvae_v2", steps=120))
    provider.fit(films, seed=0, progress=Progress())
    made = collect("fs", provider, films, 64, seed=0, progress=Progress())
    known = {tuple(row) for row in films.labels()}
    assert {tuple(row) for row in made.labels()} == known == {(0, 0), (1, 0), (1, 1)}
    areas, large = (made.images > 115).sum(axis=(1, 2)), made.labels()[:, 0] == 1
    assert areas[large].mean() > areas[~large].mean() + 150  # the discs have 113 and 531 pixels
    provider.save(tmp_path)
    loaded = gmvae.FSGMVAEV2.load(tmp_path, provider.settings)
    again = collect("fs", loaded, films, 64, seed=0, progress=Progress())
    assert again.digest == made.digest
    other = collect("fs", loaded, films, 64, seed=1, progress=Progress())
    assert other.digest != made.digest


def test_labels_are_drawn_as_often_as_the_training_films_have_them():
    labels = np.array([[0, 0]] * 6 + [[1, 0]] * 3 + [[1, 1]], dtype=np.uint8)
    drawn = LabelRows.of(labels).draw(20_000, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(drawn.mean(0), [0.4, 0.1], atol=0.01)
    assert not ((drawn[:, 0] == 0) & (drawn[:, 1] == 1)).any()


def test_a_training_set_without_findings_is_an_input_error():
    with pytest.raises(InputError, match="fs_gmvae_v1 learns films with their findings; dataset discs has no findings"):
        gmvae.FSGMVAEV1(tiny("fs_gmvae_v1")).fit(discs(findings=()), seed=0, progress=Progress())


def test_a_side_that_the_encoder_cannot_halve_is_an_input_error():
    with pytest.raises(InputError, match="multiple of 32, found side=48"):
        gmvae.GMVAEV4(tiny("gmvae_v4", side=48)).fit(discs(), seed=0, progress=Progress())


def test_vgg16_is_torchvisions_with_its_weights(tmp_path):
    theirs, ours = make_layers(cfgs["D"]), Encoder("vgg16", 1.0, frozen=True)
    weights = {f"features.{name}": value for name, value in theirs.state_dict().items()}
    save_file(weights | {"classifier.0.bias": torch.zeros(4)}, tmp_path / "vgg.safetensors")
    load_features(ours.features, tmp_path / "vgg.safetensors", "vgg16")
    films = torch.randn(1, 3, 32, 32)
    assert torch.equal(ours(films), theirs(films)) and ours.maps == theirs(films).shape[1]


def test_densenet121_is_torchvisions_with_its_weights_also_by_their_old_names(tmp_path):
    theirs, ours = torchvision.models.densenet121(weights=None).eval(), Encoder("densenet121", 1.0, frozen=True).eval()
    old = {name.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.").replace(
        "conv2.", "conv.2."): value for name, value in theirs.state_dict().items()
        if not name.endswith("num_batches_tracked")}  # fmt: skip
    assert any("denselayer1.norm.1.weight" in name for name in old)
    torch.save(old, tmp_path / "densenet.pth")
    load_features(ours.features, tmp_path / "densenet.pth", "densenet121")
    films = torch.randn(1, 3, 32, 32)
    assert torch.allclose(ours(films), theirs.features(films).relu(), atol=1e-5) and ours.maps == 1024


@pytest.mark.parametrize("width", [1.0, 0.5, 0.125])
@pytest.mark.parametrize("name", ["vgg16", "densenet121"])
def test_the_maps_of_an_encoder_are_known_beforehand(name, width):
    with torch.device("meta"):
        encoder = Encoder(name, width, frozen=False).eval()
        assert encoder(torch.zeros(1, 3, 32, 32)).shape == (1, feature_maps(name, width), 1, 1)


def narrow_weights(path: Path, name: str = "densenet121") -> Path:
    """Weights of a narrow encoder by torchvision's names."""
    with seeded(5):
        features = Encoder(name, 0.125, frozen=False).features
    inner = features if name == "vgg16" else features[0]
    save_file({f"features.{key}": value for key, value in inner.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(("train_encoder", "changes"), [(None, False), (False, False), (True, True)])
def test_an_encoder_with_weights_is_frozen_unless_asked_to_be_trained(tmp_path, train_encoder, changes):
    weights = narrow_weights(tmp_path / "w.safetensors")
    settings = tiny("gmvae_v6", weights=weights, train_encoder=train_encoder)
    with seeded(0):
        recipe = GMVAERecipe(discs().images, None, settings)
    before = {name: value.clone() for name, value in recipe.posterior[0].state_dict().items()}
    expected = load_file_of(weights)
    assert all(torch.equal(before[f"features.0.{name}"], value) for name, value in expected.items())
    for network in recipe.networks().values():
        network.train()
    recipe.optimizers()
    recipe.step({"rows": torch.arange(8)}, Step(0, 3, make_fabric("cpu", float32=True)))
    moved = [name for name, value in recipe.posterior[0].state_dict().items() if not torch.equal(value, before[name])]
    assert bool(moved) == changes


def load_file_of(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name.removeprefix("features."): value for name, value in load_file(path).items()}


def test_an_encoder_from_scratch_is_trained():
    assert not tiny("gmvae_v4").frozen
    assert tiny("gmvae_v4", train_encoder=False).frozen
    assert tiny("gmvae_v4", weights=Path("w.pth")).frozen


def test_the_weights_used_are_named_by_their_digest(tmp_path):
    weights = narrow_weights(tmp_path / "w.safetensors", "vgg16")
    provider = gmvae.GMVAEV4(tiny("gmvae_v4", weights=weights))
    provider.fit(discs(), seed=0, progress=Progress())
    assert provider.weights_used == digest.of_file(weights)
    folder = tmp_path / "kept"
    folder.mkdir()
    provider.save(folder)
    weights.unlink()  # sampling needs no encoder
    assert gmvae.GMVAEV4.load(folder, provider.settings).weights_used == provider.weights_used


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("text", "not a readable state dict"),
        ("list", r"expected a state dict \(names to tensors\), found list"),
        ("densenet121", "expected torchvision's vgg16 .* no fitting"),
    ],
)
def test_weights_of_another_kind_are_an_input_error(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if content == "text":
        path.write_text("not weights")
    elif content == "list":
        torch.save([1, 2], path)
    elif content is not None:
        path = narrow_weights(tmp_path / "w.safetensors", content)
    with pytest.raises(InputError, match=message):
        gmvae.GMVAEV4(tiny("gmvae_v4", weights=path)).fit(discs(), seed=0, progress=Progress())


def test_dead_maps_are_counted_and_a_living_decoder_has_none():
    settings = tiny("gmvae_v4", activation="relu")
    provider = gmvae.GMVAEV4(settings)
    with seeded(0):
        provider.take(provider.build(discs().info))
    decoder = provider.generative.decoder
    maps = [len(one.weight[0]) for one in decoder.layers if isinstance(one, torch.nn.ConvTranspose2d)][:-1]
    assert provider.facts() == {"dead_maps_of_the_decoder": f"0 of {sum(maps)}"}
    with torch.no_grad():
        decoder.layers[0].weight[:, 0] = 0  # a map of nothing
    assert provider.facts() == {"dead_maps_of_the_decoder": f"1 of {sum(maps)}"}
    with torch.no_grad():
        decoder.layers[0].weight.zero_()
    assert provider.facts() == {"dead_maps_of_the_decoder": f"{sum(maps)} of {sum(maps)}"}


def test_a_linear_decoder_has_no_maps_and_labels_belong_to_the_codes():
    linear, labelled = gmvae.FSGMVAEV1(tiny("fs_gmvae_v1")), gmvae.FSGMVAEV3(tiny("fs_gmvae_v3"))
    for provider in (linear, labelled):
        provider.take(provider.build(discs().info))
        provider.label_rows = LabelRows.of(np.array(discs().labels()))
    assert linear.facts() == {} and "of" in labelled.facts()["dead_maps_of_the_decoder"]
