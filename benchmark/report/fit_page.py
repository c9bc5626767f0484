"""The page of a fit for a person who ends its trainings by eye: the same samples after more and more steps, with the words
that keep the fit of a step."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moment:
    """Samples side by side, uint8 (H, W), after a step of a training; whether it is the step that was kept."""

    step: int
    samples: np.ndarray
    keep: str
    """What keeps this step, as a command; empty for step 0."""
    kept: bool = False

    @property
    def uri(self) -> str:
        """The samples as a PNG data URI."""
        return "data:image/png;base64," + base64.b64encode(png(self.samples)).decode()


def png(samples: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def fit_page(title: str, facts: Sequence[tuple[str, str]], trainings: Mapping[str, Sequence[Moment]]) -> str:
    """The page; it asks nobody for anything."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("fit.html.j2").render(title=title, facts=facts, trainings=trainings)
