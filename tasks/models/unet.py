"""A U-Net (Ronneberger et al. 2015) with a ResNet encoder, from segmentation-models-pytorch."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torch.nn import functional

from .encoders import check_encoder, encoder_options, load_encoder, scaled

DECODER = (256, 128, 64, 32, 16)


class UNet(nn.Module):
    """Films (B, 1, H, W) of any size to logits (B, classes, H, W).

    Sides that are not multiples of 2^depth are filled up with their edge pixels. `depth`: number of halvings, 3
    to 5. `width`: factor on the channels of encoder and decoder. `encoder_weights`: a local timm state dict of the
    encoder (.safetensors), of the unscaled width.
    """

    def __init__(
        self,
        classes: int,
        *,
        encoder: str = "resnet34",
        depth: int = 5,
        width: float = 1.0,
        encoder_weights: Path | None = None,
    ) -> None:
        super().__init__()
        check_encoder(encoder)
        self.multiple = 2**depth
        self.network = smp.Unet(
            f"tu-{encoder}",
            encoder_depth=depth,
            encoder_weights=None,
            decoder_channels=tuple(scaled(channels, width) for channels in DECODER[:depth]),
            in_channels=1,
            classes=classes,
            **encoder_options(width),
        )
        if encoder_weights is not None:
            load_encoder(self.network.encoder.model, encoder_weights)

    def forward(self, films: Tensor) -> Tensor:
        height, width = films.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        return self.network(functional.pad(films, padding, mode="replicate"))[..., :height, :width]
