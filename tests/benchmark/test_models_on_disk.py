"""Generators that were fitted elsewhere and lie on disk: TorchScript, ONNX, pipelines and bundles made by the tests."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.model_files import OnnxProvider, SamplerSettings, TorchScriptProvider
from cxrbench.benchmark.contracts.model_folders import (
    BundleProvider,
    BundleSettings,
    DiffusersProvider,
    DiffusersSettings,
)
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import find_provider
from cxrbench.benchmark.runs.leaks import refuse_leaks

SIDE, LATENT = 16, 6
ORGANS, FINDINGS = ("left_lung", "heart"), ("Mass", "Pleural_Thickening")


def training_set() -> Dataset:
    draw, ids = np.random.default_rng(0), [f"case{number}" for number in range(8)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "Mass": [0, 1] * 4, "Pleural_Thickening": [0, 0, 1, 1] * 2})
    info = DatasetInfo(name="train", resolution=SIDE, organs=ORGANS, findings=FINDINGS)
    images, masks = (
        draw.integers(0, 256, (8, SIDE, SIDE), dtype=np.uint8),
        draw.integers(0, 4, (8, SIDE, SIDE), np.uint8),
    )
    return Dataset(info, images, cases, masks=masks)


class Sampler(nn.Module):
    """Noise (B, LATENT), and labels (B, F) where given, to `channels` x `side` x `side` in [-1, 1]."""

    def __init__(self, channels: int = 1, side: int = SIDE) -> None:
        super().__init__()
        self.channels, self.side = channels, side
        self.layer = nn.Linear(LATENT, channels * side * side)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z)).view(-1, self.channels, self.side, self.side)


class Labelled(Sampler):
    """As bright as the film has findings, but for a black pixel in the corner."""

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shown = labels.sum(1).view(-1, 1, 1, 1) - 1
        made = 0 * torch.tanh(self.layer(z)).view(-1, self.channels, self.side, self.side) + shown
        made[:, :, 0, 0] = -1
        return made


def scripted(folder: Path, module: nn.Module, name: str = "gan.pt") -> Path:
    path = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def fitted(provider: Provider, train: Dataset | None = None) -> Provider:
    provider.fit(train or training_set(), seed=0, progress=Progress())
    return provider


def drawn(provider: Provider, n: int = 10, seed: int = 0) -> Dataset:
    return collect("model", provider, training_set(), n, seed=seed, progress=Progress(), wanted=frozenset())


def batches(provider: Provider, n: int, seed: int = 0) -> list[Batch]:
    return list(provider.sample(n, seed=seed))


SCRIPT = SamplerSettings(latent=(LATENT,), batch=4)


def test_a_torchscript_sampler_gives_its_films_in_whole_batches(tmp_path):
    torch.manual_seed(0)
    module = Sampler()
    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, module)), SCRIPT))
    films = drawn(provider)
    noise = torch.from_numpy(provider.noise(4, (LATENT,), digest.derive_seed("model", 0, 0)))
    expected = np.rint((module(noise).detach().numpy()[:, 0] + 1) / 2 * 255)
    assert np.abs(films.images[:4].astype(float) - expected).max() <= 1
    assert np.array_equal(drawn(provider, 5).images, films.images[:5])
    assert not np.array_equal(drawn(provider, seed=1).images, films.images)


def test_a_kept_one_draws_the_same(tmp_path):
    provider, folder = fitted(TorchScriptProvider(str(scripted(tmp_path, Sampler())), SCRIPT)), tmp_path / "kept"
    folder.mkdir()
    provider.save(folder)
    assert drawn(TorchScriptProvider.load(folder, SCRIPT)).digest == drawn(provider).digest


@pytest.mark.parametrize(
    ("values", "black", "white"), [("symmetric", -1.0, 1.0), ("unit", 0.0, 1.0), ("bytes", 0.0, 255.0)]
)
def test_black_and_white_are_what_the_settings_say(tmp_path, values, black, white):
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.black, self.white = black, white

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            left = torch.full((z.shape[0], 1, 16, 8), self.black)
            return torch.cat([left, torch.full((z.shape[0], 1, 16, 8), self.white)], 3)

    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, Halves())), replace(SCRIPT, values=values)))
    film = drawn(provider, 2).images[0]
    assert (film[:, :8] == 0).all() and (film[:, 8:] == 255).all()


def test_channels_after_the_film_are_organs_where_asked_for(tmp_path):
    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, Sampler(channels=3))), replace(SCRIPT, masks=True)))
    (batch, *_) = batches(provider, 4)
    assert batch.masks.shape == (4, 2, SIDE, SIDE) and batch.masks.any() and not batch.masks.all()
    grey = fitted(TorchScriptProvider(provider.argument, SCRIPT))
    assert batches(grey, 4)[0].masks is None and batches(grey, 4)[0].images.shape == (4, 1, SIDE, SIDE)
    wrong = fitted(TorchScriptProvider(str(scripted(tmp_path, Sampler())), replace(SCRIPT, masks=True)))
    with pytest.raises(ProviderError, match="gave 1 channels, expected 3: film, left_lung, heart"):
        drawn(wrong)


def test_labels_are_those_of_training_films_and_the_model_is_told_them(tmp_path):
    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, Labelled())), replace(SCRIPT, labels=True)))
    made = batches(provider, 10)
    labels, images = (np.concatenate([getattr(batch, name) for batch in made]) for name in ("labels", "images"))
    assert labels.shape == (10, 2) and {0, 1} == set(labels.ravel().tolist())
    assert np.allclose(images[:, 0, 1, 1], labels.sum(1) / 2)


def test_films_of_another_side_are_brought_to_the_side_of_the_training_films(tmp_path):
    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, Sampler(side=32))), SCRIPT))
    assert drawn(provider).images.shape == (10, SIDE, SIDE)


def test_what_it_was_fitted_on_is_asked_for_and_a_test_film_among_it_is_refused(tmp_path):
    path = scripted(tmp_path, Sampler())
    provider = fitted(TorchScriptProvider(str(path), SCRIPT))
    assert provider.facts() == {"noticed": "training data not declared"} and list(provider.trained_on()) == []
    (tmp_path / "trained_on.txt").write_text("case1\ncase5\n")
    assert provider.facts() == {"fitted_on_real_cases": 2} and provider.trained_on() == ["case1", "case5"]
    other = tmp_path / "ids.txt"
    other.write_text("case7\n")
    named = fitted(TorchScriptProvider(str(path), replace(SCRIPT, trained_on=other)))
    assert named.trained_on() == ["case7"]
    films, whole = drawn(named), training_set()
    with pytest.raises(ProviderError, match=r"refused .leak.: fitted on 1 films of the test set"):
        refuse_leaks("gan", films, named.trained_on(), whole.select(range(4)), whole.select(range(4, 8)))
    with pytest.raises(InputError, match="trained_on: there is no file"):
        fitted(TorchScriptProvider(str(path), replace(SCRIPT, trained_on=tmp_path / "none.txt")))


def test_the_digest_of_the_weights_is_in_the_record_and_in_every_key(tmp_path):
    torch.manual_seed(1)
    path = scripted(tmp_path, Sampler())
    assert fitted(TorchScriptProvider(str(path), SCRIPT)).weights_used == digest.of_file(path)
    plugin = find_provider(f"torchscript:{path}")
    before = plugin.code_digest()
    (tmp_path / "a folder").mkdir()
    moved = path.rename(tmp_path / "a folder" / "gan.pt")
    assert find_provider(f"torchscript:{moved}").code_digest() == before and plugin.name == "gan"
    scripted(tmp_path / "a folder", Sampler())
    assert find_provider(f"torchscript:{moved}").code_digest() != before


def test_what_cannot_be_used_is_one_clear_line(tmp_path):
    path = scripted(tmp_path, Sampler())
    with pytest.raises(ProviderError, match="say the shape of its noise"):
        fitted(TorchScriptProvider(str(path)))
    with pytest.raises(ProviderError, match=r"failed on noise \(4, 9\)") as caught:
        drawn(fitted(TorchScriptProvider(str(path), replace(SCRIPT, latent=(9,)))))
    assert "\n" not in str(caught.value)
    (tmp_path / "text.pt").write_text("no model")
    with pytest.raises(ProviderError, match="not a TorchScript file"):
        fitted(TorchScriptProvider(str(tmp_path / "text.pt"), SCRIPT))
    bare = training_set()
    bare = replace(bare, info=bare.info.changed(findings=()))
    with pytest.raises(ProviderError, match="labels=true, but the training set train has no findings"):
        list(fitted(TorchScriptProvider(str(path), replace(SCRIPT, labels=True)), bare).sample(2, seed=0))


class Broken(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.full((z.shape[0], 1, 16, 16), float("nan"))


def test_films_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(ProviderError, match="not finite"):
        drawn(fitted(TorchScriptProvider(str(scripted(tmp_path, Broken())), SCRIPT)))


@pytest.mark.parametrize("spec", ["torchscript:", "onnx:nowhere.onnx", "diffusers:nowhere", "monai:"])
def test_a_model_that_is_not_there_is_named(spec):
    with pytest.raises(InputError, match=r"expected something after|does not exist"):
        find_provider(spec)


@pytest.mark.parametrize(
    ("module", "provider", "extra"),
    [
        ("onnxruntime", OnnxProvider("x.onnx"), "onnx"),
        ("diffusers", DiffusersProvider("x"), "diffusers"),
        ("monai", BundleProvider("x"), "diffusion"),
    ],
)
def test_a_missing_extra_is_said_in_one_line(monkeypatch, module, provider, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs the package {module}: pip install 'cxrbench\[{extra}\]'"):
        provider.opened()


def bundle(folder: Path, **parts: object) -> Path:
    """A bundle whose network is a U-Net of MONAI, with its weights."""
    from monai.networks.nets import DiffusionModelUNet

    network = {
        "_target_": "monai.networks.nets.DiffusionModelUNet",
        **{"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 8], "num_res_blocks": 1},
        **{"attention_levels": [False, False], "norm_num_groups": 4},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps({"network": network, **parts}))
    torch.manual_seed(0)
    made = DiffusionModelUNet(**{key: value for key, value in network.items() if key != "_target_"})
    torch.save(made.state_dict(), folder / "models" / "model.pt")
    return folder


INFERER = {"_target_": "monai.inferers.DiffusionInferer", "scheduler": "@scheduler"}
SCHEDULER = {"_target_": "monai.networks.schedulers.DDIMScheduler", "num_train_timesteps": 10}


def test_a_bundle_draws_by_its_inferer_in_the_steps_that_are_asked_for(tmp_path):
    folder = bundle(tmp_path / "bundle", inferer=INFERER, scheduler=SCHEDULER)
    settings = BundleSettings(latent=(1, SIDE, SIDE), inferer="inferer", steps=2, batch=4)
    provider = fitted(BundleProvider(str(folder), settings))
    films = drawn(provider, 6)
    assert len(films) == 6 and films.images.std() > 5
    assert np.array_equal(drawn(provider, 6).images, films.images)
    more = fitted(BundleProvider(str(folder), replace(settings, steps=5)))
    assert not np.array_equal(drawn(more, 6).images, films.images)
    assert provider.weights_used == digest.of_folder(folder)


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    with pytest.raises(ProviderError, match=r"there is no configs/inference.json; expected a bundle"):
        fitted(BundleProvider(str(tmp_path), BundleSettings(latent=(1, SIDE, SIDE))))
    folder = bundle(tmp_path / "bundle")
    with pytest.raises(ProviderError, match="the bundle cannot be read"):
        fitted(BundleProvider(str(folder), BundleSettings(latent=(1, SIDE, SIDE), network="generator")))


def test_an_onnx_sampler_gives_what_the_module_gives(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    module, path = Sampler().eval(), tmp_path / "gan.onnx"
    write_onnx(module, path)
    provider = fitted(OnnxProvider(str(path), SamplerSettings(batch=4)))
    films = drawn(provider, 6)
    noise = torch.from_numpy(provider.noise(4, (LATENT,), digest.derive_seed("model", 0, 0)))
    expected = np.rint((module(noise).detach().numpy()[:, 0] + 1) / 2 * 255)
    assert np.abs(films.images[:4].astype(float) - expected).max() <= 1
    with pytest.raises(ProviderError, match="takes 1 inputs, expected 2"):
        drawn(fitted(OnnxProvider(str(path), SamplerSettings(batch=4, labels=True))))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ProviderError, match="not an ONNX model"):
        fitted(OnnxProvider(str(tmp_path / "text.onnx")))


def write_onnx(module: Sampler, path: Path) -> None:
    """The sampler as an ONNX file of four operations."""
    from onnx import TensorProto, helper, numpy_helper, save

    weight, bias = (value.detach().numpy() for value in (module.layer.weight, module.layer.bias))
    shape = np.array([-1, 1, SIDE, SIDE], dtype=np.int64)
    held = [numpy_helper.from_array(value, name) for value, name in ((weight, "w"), (bias, "b"), (shape, "s"))]
    nodes = [
        helper.make_node("Gemm", ["z", "w", "b"], ["flat"], transB=1),
        helper.make_node("Tanh", ["flat"], ["bent"]),
        helper.make_node("Reshape", ["bent", "s"], ["film"]),
    ]
    given = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", LATENT])
    made = helper.make_tensor_value_info("film", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])
    graph = helper.make_graph(nodes, "sampler", [given], [made], held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_a_pipeline_of_diffusers_draws_films(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
    unet = diffusers.UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4, **blocks
    )
    folder = tmp_path / "pipeline"
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(num_train_timesteps=20)).save_pretrained(str(folder))
    provider = fitted(DiffusersProvider(str(folder), DiffusersSettings(steps=3, batch=4)))
    films = drawn(provider, 6)
    assert len(films) == 6 and films.images.std() > 5
    assert np.array_equal(drawn(provider, 5).images, films.images[:5])
    more = fitted(DiffusersProvider(str(folder), DiffusersSettings(steps=6, batch=4)))
    assert not np.array_equal(drawn(more, 6).images, films.images)
    with pytest.raises(ProviderError, match=r"no model_index.json there"):
        fitted(DiffusersProvider(str(tmp_path)))


class Told:
    """A pipeline that keeps what it is asked for."""

    def __call__(self, **asked: object) -> object:
        self.asked = asked
        self.images = np.full((4, SIDE, SIDE, 3), 0.5, dtype=np.float32)
        return self


def test_a_prompt_names_the_findings_of_the_film(monkeypatch):
    pipeline = Told()
    settings = DiffusersSettings(prompt="chest X-ray with {findings}", guidance=4.0, steps=7, negative_prompt="text")
    provider = DiffusersProvider("folder", settings)
    provider.train = training_set()
    monkeypatch.setattr(DiffusersProvider, "opened", lambda self: pipeline)
    (batch,) = provider.sample(4, seed=0)
    words = {(0, 0): "no finding", (1, 0): "mass", (0, 1): "pleural thickening", (1, 1): "mass, pleural thickening"}
    assert pipeline.asked["prompt"] == [f"chest X-ray with {words[tuple(row)]}" for row in batch.labels.tolist()]
    assert pipeline.asked["guidance_scale"] == 4.0 and pipeline.asked["num_inference_steps"] == 7
    assert pipeline.asked["negative_prompt"] == ["text"] * 4 and batch.images.shape == (4, 1, SIDE, SIDE)
    provider.settings = replace(settings, prompt="chest X-ray", guidance=None)
    (batch,) = provider.sample(4, seed=0)
    assert batch.labels is None and pipeline.asked["prompt"] == ["chest X-ray"] * 4
    assert "guidance_scale" not in pipeline.asked


class Fixed(nn.Module):
    """Films of `channels` channels, evenly spread from `low` to `high` over the pixels."""

    def __init__(self, channels: int, low: float, high: float) -> None:
        super().__init__()
        self.channels, self.low, self.high = channels, low, high

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(self.low, self.high, 256).view(1, 1, 16, 16)
        return ramp.expand(z.shape[0], self.channels, 16, 16) + 0 * z.sum()


@pytest.mark.parametrize(
    ("values", "low", "high", "said"),
    [
        ("symmetric", 0.0, 1.0, "--set values=unit"),
        ("symmetric", 0.0, 255.0, "--set values=bytes"),
        ("unit", -1.0, 1.0, "--set values=symmetric"),
        ("unit", 0.0, 255.0, "--set values=bytes"),
        ("bytes", -1.0, 1.0, "--set values=symmetric"),
        ("bytes", 0.0, 1.0, "--set values=unit"),
        ("symmetric", -3.0, 3.0, "--set values= knows"),
        ("symmetric", -1.05, 1.05, ""),
        ("unit", 0.0, 1.0, ""),
        ("bytes", 0.0, 255.0, ""),
    ],
)
def test_films_of_another_range_than_said_are_refused(tmp_path, values, low, high, said):
    provider = fitted(TorchScriptProvider(str(scripted(tmp_path, Fixed(1, low, high))), replace(SCRIPT, values=values)))
    if said:
        with pytest.raises(ProviderError, match=f"expected .* as values={values} says; {said}"):
            drawn(provider)
    else:
        drawn(provider)


def test_organs_are_not_averaged_into_the_film(tmp_path):
    path = scripted(tmp_path, Fixed(1 + len(ORGANS), -1.0, 1.0))
    assert 1 + len(ORGANS) == 3  # which may be a film in colours
    drawn(fitted(TorchScriptProvider(str(path), SCRIPT)))
    six = scripted(tmp_path, Fixed(6, -1.0, 1.0), "six.pt")
    with pytest.raises(ProviderError, match=r"gave 6 channels, expected 1 or 3 of a film$"):
        drawn(fitted(TorchScriptProvider(str(six), SCRIPT)))
    five = training_set().info.model_copy(update={"organs": ("a", "b", "c", "d", "e")})
    wide = replace(training_set(), info=five, masks=np.zeros((8, SIDE, SIDE), np.uint8))
    with pytest.raises(ProviderError, match=r"film and 5 organs[?] Then --set masks=true"):
        drawn(fitted(TorchScriptProvider(str(six), SCRIPT), wide))
