"""Providers that are a folder of several networks, fitted elsewhere: a pipeline of diffusers, a bundle of MONAI.

Both libraries are extras, imported when a model is opened, and read what lies in the folder alone: no hub is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, ProviderError
from .model_files import (
    ModelProvider,
    ModelSettings,
    SamplerProvider,
    SamplerSettings,
    at_every_preset,
    first_line,
    needed,
)

NO_FINDING = "no finding"


@dataclass(frozen=True, kw_only=True)
class DiffusersSettings(ModelSettings):
    """How a pipeline is called."""

    prompt: str = ""
    """Text of a film; {findings} stands for its findings, as in "chest X-ray with {findings}". Empty: a pipeline that takes
    no text."""
    nothing: str = NO_FINDING
    """What {findings} is for a film without any."""
    negative_prompt: str = ""
    guidance: float | None = None
    """Guidance scale; None leaves the pipeline its own."""
    steps: int | None = None
    """Steps of the sampler; None leaves the pipeline its own."""
    batch: int = 4


class DiffusersProvider(ModelProvider):
    """A pipeline of 🤗 diffusers that was saved into a folder. Films are grey: of colours the mean."""

    presets: ClassVar[Mapping[str, Any]] = at_every_preset(DiffusersSettings())

    @property
    def labelled(self) -> bool:
        return "{findings}" in self.settings.prompt

    def opened(self) -> Any:
        library = needed("diffusers", "diffusers", "diffusers:PATH")
        if not (Path(self.argument) / "model_index.json").is_file():
            raise ProviderError(
                f"{self.argument}: no model_index.json there; expected a pipeline kept by save_pretrained"
            )
        try:
            pipeline = library.DiffusionPipeline.from_pretrained(self.argument, local_files_only=True)
        except Exception as error:
            raise ProviderError(f"{self.argument}: not a pipeline that can be read ({first_line(error)})") from None
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    def films(self, model: Any, count: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
        import torch

        s: DiffusersSettings = self.settings
        asked: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "output_type": "np"}
        asked |= {} if s.steps is None else {"num_inference_steps": s.steps}
        asked |= {} if s.guidance is None else {"guidance_scale": s.guidance}
        if s.prompt:
            asked["prompt"] = [self.text(row) for row in (np.zeros((count, 0)) if labels is None else labels)]
            asked |= {"negative_prompt": [s.negative_prompt] * count} if s.negative_prompt else {}
        else:
            asked["batch_size"] = count
        try:
            made = np.asarray(model(**asked).images, dtype=np.float32)
        except Exception as error:
            raise ProviderError(f"{self.argument}: the pipeline failed ({first_line(error)})") from None
        return made.transpose(0, 3, 1, 2)

    def text(self, labels: np.ndarray) -> str:
        """The prompt of a film with these findings, 0 or 1 (F,)."""
        named = zip(self.train.info.findings, labels, strict=False)
        found = [name.replace("_", " ").lower() for name, there in named if there]
        return str(self.settings.prompt).replace("{findings}", ", ".join(found) or self.settings.nothing)


@dataclass(frozen=True, kw_only=True)
class BundleSettings(SamplerSettings):
    """Which parts of a bundle's configuration draw a film."""

    config: str = "configs/inference.json"
    """The file that names the parts."""
    network: str = "network"
    """The part that makes films of noise, or that the inferer samples by."""
    weights: str = "models/model.pt"
    """The file of its weights."""
    inferer: str = ""
    """The part whose `sample(noise, network, scheduler)` draws films; empty: the network itself makes them."""
    scheduler: str = "scheduler"
    """The part that says the steps, where there is an inferer."""
    steps: int | None = None
    """Steps of the sampler; None leaves the scheduler its own."""


class BundleProvider(SamplerProvider):
    """A bundle of MONAI on disk. Its configuration may hold expressions that are run: open only a bundle that you trust."""

    presets: ClassVar[Mapping[str, Any]] = at_every_preset(BundleSettings())

    def opened(self) -> Any:
        needed("monai", "diffusion", "monai:PATH")
        from monai.bundle import ConfigParser

        from ..training.weights import read_weights

        s, folder = self.settings, Path(self.argument)
        if not s.latent:
            raise ProviderError(f"monai {self.argument}: say the shape of its noise (--set latent=[1,64,64])")
        for place in (s.config, s.weights):
            if not (folder / place).is_file():
                raise ProviderError(
                    f"{self.argument}: there is no {place}; expected a bundle (--set config=, weights=)"
                )
        try:
            parser = ConfigParser()
            parser.read_config(str(folder / s.config))
            parser["bundle_root"] = str(folder)
            network = parser.get_parsed_content(s.network).to(self.device)
            network.load_state_dict(read_weights(folder / s.weights))
            parts = [parser.get_parsed_content(name) for name in (s.inferer, s.scheduler) if s.inferer]
        except InputError as error:
            raise ProviderError(str(error)) from None
        except Exception as error:
            raise ProviderError(f"{self.argument}: the bundle cannot be read ({first_line(error)})") from None
        return (network.eval(), *parts)

    def films(self, model: Any, count: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
        import torch

        from ..training.loop import seeded

        network, *parts = model
        noise = torch.from_numpy(self.noise(count, self.settings.latent, seed)).to(self.device)
        known = () if labels is None else (torch.from_numpy(labels.astype(np.float32)).to(self.device),)
        try:
            with seeded(seed), torch.no_grad():
                if parts:
                    inferer, scheduler = parts
                    if self.settings.steps is not None:
                        scheduler.set_timesteps(self.settings.steps)
                    made = inferer.sample(noise, network, scheduler, verbose=False)
                else:
                    made = network(noise, *known)
        except Exception as error:
            raise ProviderError(
                f"{self.argument}: failed on noise {tuple(noise.shape)} ({first_line(error)})"
            ) from None
        return self.in_unit(made.float().cpu().numpy())
