"""The U-Net of the diffusion providers: MONAI's `DiffusionModelUNet`, with films folded.

Folded: `fold` x `fold` neighbouring pixels become channels of one place (space to depth), so that a network of few
operations still draws every pixel; nothing is enlarged or smoothed. MONAI is imported when a network is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark.errors import InputError

TIME_SCALE = 250.0  # c_noise is ln(sigma) / 4, about -1.6 to 1.1; MONAI's sinusoids are for hundreds of steps


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Size of the network; each level but the last halves the side."""

    channels: tuple[int, ...] = (128, 256, 256, 256)
    res_blocks: int = 2
    attention: tuple[bool, ...] = (False, False, True, True)
    """Levels with self-attention."""
    norm_groups: int = 32
    fold: int = 1
    """Pixels of a side that become channels of one place; 1 does not fold."""


class FilmUNet(nn.Module):
    """F of the preconditioning: scaled noisy films (B, outputs, H, W), noise levels (B,) and what is known of the films to
    raw outputs (B, outputs, H, W). `beside`: channels (B, beside, H, W) that are known; `labels`: values (B, labels)."""

    def __init__(self, settings: UNetSettings, outputs: int, side: int, *, beside: int = 0, labels: int = 0) -> None:
        super().__init__()
        from monai.networks.nets import DiffusionModelUNet

        self.fold = settings.fold
        check_side(settings, side)
        area = self.fold**2
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=(outputs + beside) * area,
            out_channels=outputs * area,
            channels=settings.channels,
            attention_levels=settings.attention,
            num_res_blocks=settings.res_blocks,
            norm_num_groups=settings.norm_groups,
            num_head_channels=settings.channels[-1] // 4,
            num_class_embeds=1 if labels else None,
        )
        if labels:
            self.unet.add_module("class_embedding", nn.Linear(labels, 4 * settings.channels[0]))

    def forward(
        self, noisy: Tensor, noise: Tensor, *, beside: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        films = noisy if beside is None else torch.cat([noisy, beside], dim=1)
        made = self.unet(F.pixel_unshuffle(films, self.fold), noise * TIME_SCALE, class_labels=labels)
        return F.pixel_shuffle(made, self.fold)


def check_side(settings: UNetSettings, side: int) -> None:
    """InputError where the levels do not divide the side of the films."""
    step = settings.fold << (len(settings.channels) - 1)
    if side % step:
        raise InputError(
            f"a U-Net of {len(settings.channels)} levels and fold {settings.fold} needs a side that is a multiple of "
            f"{step}, found {side}: change the resolution, channels or fold"
        )
    if len(settings.attention) != len(settings.channels):
        raise InputError(
            f"attention: expected a value for each of {len(settings.channels)} levels, found {len(settings.attention)}"
        )
