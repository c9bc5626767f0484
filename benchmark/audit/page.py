"""The page of an audit: what is conspicuous, distances over their floors with intervals, neighbours, copies, the films."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path

import numpy as np

from ..data.contact_sheet import organ_colours, outlined
from ..data.dataset import Dataset
from ..fidelity.audit import Audit
from ..fidelity.compare import Distance
from ..files import write_bytes
from .words import SHARES, facts, with_real

PAGE, JSON = "audit.html", "audit.json"
SHOWN, SIDE = 12, 128
LOW, HIGH = 0.5, 50.0
"""Ends of the axis of ratios, logarithmic."""


def write_audit(audit: Audit, films: Dataset, real: Dataset, folder: Path) -> Path:
    """`audit.html` and `audit.json` in a folder; the page's path."""
    write_bytes(folder / JSON, (audit.model_dump_json(by_alias=True, indent=1) + "\n").encode())
    write_bytes(folder / PAGE, audit_page(audit, films, real).encode())
    return folder / PAGE


def audit_page(audit: Audit, films: Dataset, real: Dataset) -> str:
    """The page as text; it asks nobody for anything."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = (
        __package__,
        f"{__package__.rpartition('.')[0]}.report",
    )  # the second has the style that all pages share
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, ".") for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    rows = [
        (one.title, one.about, one.frechet) if name is None else (f"{one.space}, {name}", "", part)
        for one in audit.spaces
        for name, part in ((None, one.frechet), *one.parts.items())
    ]
    organs = () if films.masks is None else films.organs
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in organ_colours(organs)]
    return environment.get_template("audit.html.j2").render(
        audit=audit,
        rows=[(title, about, part, bar(part)) for title, about, part in rows],
        shares=SHARES,
        with_real=with_real,
        facts=facts(audit),
        strips=[("Real films", strip(real)), ("The films", strip(films))],
        pairs=_pairs(audit, films, real),
        legend=[(organ.replace("_", " "), colour) for organ, colour in zip(organs, colours, strict=True)],
    )


def place(ratio: float) -> float:
    """Where a ratio lies on the axis, 0 to 100."""
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return round(100 * share, 2)


def bar(distance: Distance) -> dict[str, float]:
    """Ends and middle of an interval on the axis, and where real films lie."""
    low, high = place(distance.low), place(distance.high)
    return {"low": low, "width": max(0.6, round(high - low, 2)), "middle": place(distance.ratio), "one": place(1)}


def strip(films: Dataset) -> list[str]:
    """Films spread over a set, with the outlines of their masks, as PNG data URIs."""
    rows = np.linspace(0, len(films) - 1, min(SHOWN, len(films))).round().astype(int)
    return [_uri(films, int(row)) for row in rows]


def _uri(films: Dataset, row: int) -> str:
    from PIL import Image

    bits = None if films.masks is None else np.asarray(films.masks[row])
    buffer = io.BytesIO()
    picture = outlined(np.asarray(films.images[row]), bits, films.organs, SIDE)
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _pairs(audit: Audit, films: Dataset, real: Dataset) -> list[tuple[str, str, str, str]]:
    """Copies and the training films that they show: (id, film, id, film), the nearest six."""
    if audit.copies is None:
        return []
    ours, theirs = ({name: row for row, name in enumerate(side.ids)} for side in (films, real))
    return [(one, _uri(films, ours[one]), other, _uri(real, theirs[other])) for one, other in audit.copies.pairs[:6]]
