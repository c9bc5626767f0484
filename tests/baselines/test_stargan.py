"""StarGAN against the counts of its release, hand computations of its losses, and the provider on small films."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from cxrbench.baselines.stargan import DomainFilms, StarGAN, StarGANRecipe, domains_of
from cxrbench.baselines.stargan_networks import Discriminator, Generator, StarGANSettings, halvings
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import LOCALISED, NO_FINDING
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded, train
from cxrbench.benchmark.training.recipe import Step

from ..stopped import stopped_after

SIDE = 16
FINDINGS = ("Effusion", "Hernia", "Pneumonia", "Atelectasis")
TINY = StarGANSettings(
    generator_width=4,
    blocks=1,
    discriminator_width=4,
    critic_steps=2,
    steps=6,
    decay_steps=3,
    batch_size=4,
    learning_rate=1e-3,
    timeline=3,
)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def films(healthy: int = 6) -> Dataset:
    """Noise; a film with effusion has a light lower half, one with pneumonia a light upper half, a healthy one none."""
    rng = np.random.default_rng(0)
    names = [("Effusion",)] * 4 + [("Pneumonia",)] * 2
    names += [("Hernia",), ("Effusion", "Hernia"), ("Effusion", "Pneumonia")] + [()] * healthy
    labels = np.array([[name in row for name in FINDINGS] for row in names], dtype=np.uint8)
    images = rng.integers(0, 120, (len(names), SIDE, SIDE), dtype=np.uint8)
    images[labels[:, 0] == 1, SIDE // 2 :] += 130
    images[labels[:, 2] == 1, : SIDE // 2] += 130
    ids = [f"film{index}" for index in range(len(names))]
    cases = pd.DataFrame({"id": ids, "patient": ids, **dict(zip(FINDINGS, labels.T, strict=True))})
    return Dataset(info=DatasetInfo(name="noisy", resolution=SIDE, findings=FINDINGS), images=images, cases=cases)


# ---------------------------------------------------------------------------------------------------- the networks


def test_networks_have_the_weights_of_the_release_for_one_channel_and_seven_domains():
    with torch.device("meta"):
        generator, discriminator = Generator(7, StarGANSettings()), Discriminator(256, 7, StarGANSettings())
        assert count(generator) == 8_424_256
        assert count(discriminator) == 44_948_416
        films = torch.zeros(2, 1, 256, 256)
        assert generator(films, torch.zeros(2, dtype=torch.long)).shape == films.shape
        scores, logits = discriminator(films)
        assert scores.shape == (2, 1, 4, 4) and logits.shape == (2, 7)


@pytest.mark.parametrize(("side", "expected"), [(256, 6), (512, 6), (128, 5), (64, 4), (48, 3), (8, 1)])
def test_the_discriminator_leaves_four_pixels_a_side_or_more(side, expected):
    assert halvings(side, 6) == expected
    assert min(Discriminator(side, 2, TINY)(torch.zeros(1, 1, side, side))[0].shape[2:]) >= 4


@pytest.mark.parametrize("side", [4, 30])
def test_films_that_cannot_be_halved_twice_are_an_input_error(side):
    with pytest.raises(InputError, match=f"a multiple of 4, 8 or more, found {side}"):
        halvings(side, 6)


def test_the_target_domain_changes_a_film():
    with seeded(0):
        network = Generator(3, TINY)
        film = torch.randn(1, 1, SIDE, SIDE).expand(3, -1, -1, -1)
    made = network(film, torch.arange(3)).detach()
    assert made.abs().max() <= 1
    assert not torch.allclose(made[0], made[1], atol=1e-3) and not torch.allclose(made[1], made[2], atol=1e-3)


def test_a_residual_generator_begins_near_its_film_and_the_papers_does_not():
    film = torch.rand(2, 1, SIDE, SIDE) * 2 - 1
    for residual in (True, False):
        with seeded(0):
            made = Generator(3, replace(TINY, residual=residual))(film, torch.tensor([0, 2])).detach()
        assert made.abs().max() <= 1
        assert (float((made - film).abs().mean()) < 0.05) is residual
    assert not StarGAN.presets["paper"].residual


# --------------------------------------------------------------------------------------------------------- domains


def test_films_with_one_of_the_diseases_alone_and_films_without_findings_are_the_domains():
    names, domains = domains_of(films(), LOCALISED)
    assert names == ("Effusion", "Pneumonia", NO_FINDING)
    assert domains.tolist() == [0] * 4 + [1] * 2 + [-1] * 3 + [2] * 6


def test_the_papers_domains_are_six_diseases_and_healthy_films():
    assert StarGAN.presets["paper"].diseases == LOCALISED and len(LOCALISED) == 6


def test_other_findings_may_be_chosen_as_domains():
    names, domains = domains_of(films(), ("Hernia",))
    assert names == ("Hernia", NO_FINDING) and domains.tolist() == [-1] * 6 + [0] + [-1] * 2 + [1] * 6


def test_a_training_set_without_diseases_or_without_healthy_films_is_an_input_error():
    with pytest.raises(InputError, match="dataset noisy has none with such a disease: choose other ones"):
        domains_of(films(), ("Mass", "Atelectasis"))
    with pytest.raises(InputError, match="dataset noisy has none that are healthy"):
        StarGAN(TINY).fit(films(healthy=0), seed=0, progress=Progress())
    unlabelled = replace(films(), info=DatasetInfo(name="plain", resolution=SIDE))
    with pytest.raises(InputError, match="dataset plain has none with such a disease"):
        domains_of(unlabelled, LOCALISED)


def source(balanced: bool = False) -> DomainFilms:
    domains = domains_of(films(), LOCALISED)[1]
    rows = np.flatnonzero(domains >= 0)
    return DomainFilms(films().images, rows, domains[rows], balanced=balanced)


def test_a_batch_has_the_films_of_its_rows_and_targets_from_its_own_domains():
    batch = source().batch(np.array([0, 5, 11, 6]), np.random.default_rng(0))
    expected = torch.from_numpy(films().images[[0, 5, 14, 9]]).float()[:, None] / 127.5 - 1
    assert torch.equal(batch["films"], expected)
    assert batch["domains"].tolist() == [0, 1, 2, 2]
    assert sorted(batch["targets"].tolist()) == [0, 1, 2, 2]


def test_a_balanced_batch_has_every_domain_equally_often():
    batch = source(balanced=True).batch(np.arange(9), np.random.default_rng(0))
    assert batch["domains"].bincount().tolist() == [3, 3, 3]
    light = (batch["films"] > 0)[:, 0].float().mean(dim=2)
    lower, upper = light[:, SIDE // 2 :].mean(dim=1) > 0.5, light[:, : SIDE // 2].mean(dim=1) > 0.5
    assert torch.equal(lower, batch["domains"] == 0) and torch.equal(upper, batch["domains"] == 1)


# ---------------------------------------------------------------------------------------------------------- losses


class Painter(nn.Module):
    """Adds a tenth of the domain's number to the film."""

    def forward(self, films: Tensor, domains: Tensor) -> Tensor:
        return films + 0.1 * domains[:, None, None, None]


class Judge(nn.Module):
    """Score: three times the sum of a film's pixels. Logits: 0 for all domains but the second."""

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.zeros(len(films), 3)
        logits[:, 1] = np.log(2)
        return 3 * films.sum(dim=(1, 2, 3)), logits


def test_losses_are_those_of_the_paper():
    recipe = StarGANRecipe(source(), 3, replace(TINY, class_weight=2.0))
    recipe.generator, recipe.discriminator = Painter(), Judge()
    batch = {
        "films": torch.zeros(2, 1, SIDE, SIDE),
        "domains": torch.tensor([0, 1]),
        "targets": torch.tensor([2, 1]),
    }
    pixels = SIDE**2
    critic = recipe.critic_losses(batch)
    assert float(critic["wasserstein"]) == pytest.approx(3 * pixels * (0.2 + 0.1) / 2, rel=1e-5)
    assert float(critic["penalty"]) == pytest.approx(10 * (3 * SIDE - 1) ** 2, rel=1e-5)  # gradient 3 at 16^2 pixels
    assert float(critic["class"]) == pytest.approx(2 * (np.log(4) + np.log(2)) / 2, rel=1e-5)
    translation = recipe.translation_losses(batch)
    assert float(translation["adversarial"]) == pytest.approx(-3 * pixels * 0.15, rel=1e-5)
    assert float(translation["target"]) == pytest.approx(2 * (np.log(4) + np.log(2)) / 2, rel=1e-5)
    assert float(translation["cycle"]) == pytest.approx(10 * ((0.2 + 0.0) + (0.1 + 0.1)) / 2, rel=1e-5)


def test_the_generator_learns_at_every_nth_step_and_the_critic_at_each():
    recipe = StarGANRecipe(source(), 3, replace(TINY, critic_steps=3, timeline=0))
    fabric, optimizers = make_fabric("cpu", float32=True), recipe.optimizers()
    batch = source().batch(np.arange(4), np.random.default_rng(0))

    def moved(network: nn.Module, before: list[Tensor]) -> bool:
        return any(not torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))

    learnt = []
    for index in range(6):
        g = [weight.detach().clone() for weight in recipe.generator.parameters()]
        d = [weight.detach().clone() for weight in recipe.discriminator.parameters()]
        losses = recipe.step(batch, Step(index, 6, fabric))
        learnt.append((moved(recipe.generator, g), moved(recipe.discriminator, d)))
        assert ("cycle" in losses) is (index >= 2)
    assert learnt == [(False, True), (False, True), (True, True)] * 2
    assert optimizers.keys() == {"generator", "discriminator"}


def test_gradient_penalties_are_taken_in_float32():
    assert StarGANRecipe.float32


def test_the_learning_rate_falls_to_zero_over_the_last_steps():
    recipe = StarGANRecipe(source(), 3, replace(TINY, steps=10, decay_steps=5))
    assert [round(recipe.rate(step) / 1e-3, 6) for step in range(10)] == [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path):
    films = source(balanced=True)

    def recipe() -> StarGANRecipe:
        with seeded(0):
            return StarGANRecipe(films, 3, TINY)

    whole = recipe()
    train(whole, films, steps=6, seed=0)
    stopped_after(3, recipe(), films, tmp_path, steps=6)
    resumed = recipe()
    train(resumed, films, steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert whole.timeline.films.any(dim=(1, 2, 3)).all()


# ---------------------------------------------------------------------------------------------------- the provider


@cache
def fitted() -> StarGAN:
    provider = StarGAN(TINY)
    provider.fit(films(), seed=0, progress=Progress())
    return provider


def sampled(provider: StarGAN, n: int = 40, seed: int = 0) -> Dataset:
    return collect("stargan", provider, films(), n, seed=seed, progress=Progress())


def test_samples_name_the_healthy_film_they_were_made_from_and_use_each_before_one_again():
    made = sampled(fitted(), 12)
    sources = [source for row in made.cases["source_ids"] for source in row]
    assert sorted(sources[:6]) == sorted(sources[6:]) == sorted(f"film{index}" for index in range(9, 15))


def test_the_source_of_a_copy_is_its_original():
    copies = films()
    copies.cases["source_ids"] = [[f"original{index}"] for index in range(len(copies))]
    provider = StarGAN(replace(TINY, steps=1))
    provider.fit(copies, seed=0, progress=Progress())
    assert provider.ids == [f"original{index}" for index in range(9, 15)]


def test_a_sample_is_its_source_translated_to_the_domain_of_its_label():
    provider, made = fitted(), sampled(fitted())
    numbers = {"Effusion": 0, "Pneumonia": 1}
    domains = [
        next((numbers[name] for name, flag in zip(FINDINGS, row, strict=True) if flag), 2) for row in made.labels()
    ]
    ids = films().ids
    sources = films().images[[ids.index(row[0]) for row in made.cases["source_ids"]]]
    expected = np.rint(provider.translate(sources, np.array(domains)) * 255)[:, 0]
    assert (np.abs(made.images - expected) <= 1).all()
    assert set(domains) == {0, 1, 2}


def test_labels_are_one_hot_and_as_frequent_as_in_training_or_as_asked():
    labels = sampled(fitted(), 600).labels()
    assert labels.sum(axis=1).max() == 1 and not labels[:, [1, 3]].any()
    assert labels.mean(axis=0) == pytest.approx([4 / 12, 0, 2 / 12, 0], abs=0.06)
    provider = StarGAN(replace(TINY, steps=1, healthy_share=0.1))
    provider.fit(films(), seed=0, progress=Progress())
    assert provider.shares() == pytest.approx([0.6, 0.3, 0.1])


def test_at_most_so_many_healthy_films_are_kept_to_translate_from():
    provider = StarGAN(replace(TINY, steps=1, source_films=2))
    provider.fit(films(), seed=0, progress=Progress())
    assert len(provider.films) == len(provider.ids) == 2
    kept = [films().ids.index(name) for name in provider.ids]
    np.testing.assert_array_equal(provider.films, films().images[kept])
    assert min(kept) >= 9


def test_a_short_training_puts_the_light_half_where_the_disease_has_it():
    provider = StarGAN(replace(TINY, steps=240, decay_steps=60, batch_size=9, learning_rate=3e-3, balanced=True))
    provider.fit(films(), seed=0, progress=Progress())
    healthy = films().images[9:]
    made = [provider.translate(healthy, np.full(6, domain))[:, 0] for domain in range(3)]
    upper = [film[:, : SIDE // 2].mean() for film in made]
    lower = [film[:, SIDE // 2 :].mean() for film in made]
    assert lower[0] - upper[0] > 0.2 and upper[1] - lower[1] > 0.2
    assert abs(upper[2] - lower[2]) < 0.2


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    made = sampled(fitted())
    assert made.digest == sampled(fitted()).digest != sampled(fitted(), seed=1).digest
    fitted().save(tmp_path)
    loaded = StarGAN.load(tmp_path, TINY)
    assert sampled(loaded).digest == made.digest
    assert loaded.parameter_count() == fitted().parameter_count() > 0
    assert loaded.histories().keys() == {"translation"}


def test_the_timeline_shows_one_healthy_film_in_every_domain():
    steps, shown = fitted().timeline()
    assert steps == [2, 4, 6] and shown.shape == (3, 6, SIDE, SIDE) and shown.dtype == np.uint8
    assert (shown[0] != shown[2]).any() and (shown[2][0] != shown[2][1]).any()
    assert np.array_equal(shown[2][:3], shown[2][3:])  # three domains, by turns
