"""What the detector of the localisation task is made and trained with (Xing et al. 2019, section 3.2). Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ...benchmark.contracts.initial_weights import InitialWeights


@dataclass(frozen=True)
class DetectorSettings:
    """Faster R-CNN and its training; the defaults are the paper's, and where it is silent those of the sample
    configuration that its learning rate comes from (TensorFlow Object Detection, Inception-ResNet-v2 atrous)."""

    backbone: str = "resnet50_fpn"
    """`resnet50_fpn`; `inception_resnet_v2` (the paper's); or a ResNet of timm with `_fpn` behind its name."""
    width: float = 1.0
    """Channels of a timm ResNet, of its pyramid and of the box head, as a share of the usual ones."""
    weights: Path | None = None
    """A local file of weights to start from: a whole torchvision detector, or the backbone alone; None: from scratch."""
    side: int = 256
    """Films are brought to so many pixels a side; anchors are shares of it."""
    merge_boxes: bool = False
    """Whether a training sample is a film with all its boxes; else (the paper) one for each box, with that box alone."""
    steps: int = 15_500
    batch: int = 2
    rate: float = 3e-4
    momentum: float = 0.9
    clip: float = 10.0
    """Largest norm of the gradient."""
    warmup: int = 0
    """Steps in which the rate rises to `rate`."""
    decay: bool = False
    """Whether the rate falls to zero along half a cosine."""
    check_every: int = 500
    """Steps between evaluations on the held-out films, and between a window's checkpoints."""
    windows: tuple[int, ...] = (5_000, 10_000, 15_000)
    """Steps s of the paper's table: the checkpoints s - check_every, s and s + check_every are tested."""
    location_weight: float = 2.0
    """Weight of the box regression losses against the class losses, in both stages."""
    proposals: int = 300
    proposal_overlap: float = 0.7
    box_samples: int = 64
    """Proposals of a film that the second stage learns from."""
    box_overlap: float = 0.6
    """Of two detections of a finding with a larger IoU the one with the lower score goes."""
    detections: int = 100
    """Detections of a film that are kept; the best of every finding is always among them."""

    def shorter(self, steps: int) -> Self:
        """At most that many steps, checked at their end, without windows."""
        return replace(self, steps=min(steps, self.steps), check_every=steps, windows=())


PAPER = DetectorSettings(backbone="inception_resnet_v2")
# From scratch: four times the batch, a larger rate that rises and falls, and shorter, for a quarter of an hour of one GPU.
STANDARD = DetectorSettings(
    steps=6_200, batch=8, rate=0.02, clip=1.0, warmup=500, decay=True, check_every=200, windows=(2_000, 4_000, 6_000)
)
# Sized for 40 seconds of one core at 64 x 64 pixels.
QUICK = DetectorSettings(
    backbone="resnet10t_fpn",
    width=0.25,
    side=128,
    steps=500,
    batch=8,
    rate=0.05,
    clip=1.0,
    warmup=50,
    decay=True,
    check_every=125,
    windows=(),
    proposals=60,
    box_samples=32,
)
PRESETS: Mapping[str, DetectorSettings] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}

INITIAL_WEIGHTS = (
    InitialWeights(
        "detector.weights",
        "Inception-ResNet-v2",
        paper="not said",
        warning="normalised by the statistics of batches of 2 films it is unlikely to reach the paper's numbers",
        where=(("detector.backbone", "inception_resnet_v2"),),
    ),
)


def checkpoints_of(middle: int, settings: DetectorSettings) -> tuple[int, ...]:
    """The steps of the checkpoints in the window [s - check_every, s + check_every] about a step s."""
    steps = (middle - settings.check_every, middle, middle + settings.check_every)
    return tuple(step for step in steps if 0 < step <= settings.steps)


def windows_of(settings: DetectorSettings) -> list[tuple[int, ...]]:
    """The steps of the checkpoints in every window of the settings."""
    return [checkpoints_of(middle, settings) for middle in settings.windows]
