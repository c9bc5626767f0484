"""The page that a reader opens: one file with every film in it, that asks nobody for anything.

A content security policy allows the page's own script and style (by their sha256) and pictures in data URIs, nothing else.
The page is given names, pixels and, where they are asked about, the classes; it cannot tell what it was not given.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from .study import NONE_OF_THESE


def render_preference(
    study_id: str,
    films: Sequence[tuple[str, tuple[bytes, bytes, bytes]]],
    organs: Sequence[str],
    colours: Mapping[str, tuple[int, int, int]],
) -> str:
    """The page of a study of preferences. `films`: (name, PNG of the film and of segmentations 1 and 2) in the order shown;
    `organs`: what is asked about each film, in order; `colours`: of their outlines."""

    def encoded(png: bytes) -> str:
        return base64.b64encode(png).decode()

    data = {
        "study": study_id,
        "films": [
            {"item": name, "film": encoded(film), "one": encoded(one), "two": encoded(two)}
            for name, (film, one, two) in films
        ],
        "organs": [
            {"organ": organ, "colour": "#{:02x}{:02x}{:02x}".format(*colours[organ]) if organ in colours else ""}
            for organ in organs
        ],
    }
    return _filled(
        "preference.html.j2",
        _own("study.js") + _own("preference.js"),
        _own("page.css") + _own("preference.css"),
        study_id,
        data,
    )


def render(study_id: str, films: Sequence[tuple[str, bytes]], classes: Sequence[str]) -> str:
    """The page of a study. `films`: (name, PNG) in the order shown. `classes`: asked about too; empty: not asked."""
    data = {
        "study": study_id,
        "films": [{"item": name, "png": base64.b64encode(png).decode()} for name, png in films],
        "findings": [*classes, NONE_OF_THESE] if classes else [],
    }
    asks = {"asks_finding": bool(classes)}
    return _filled("page.html.j2", _own("study.js") + _own("page.js"), _own("page.css"), study_id, data, **asks)


def _filled(template: str, script: str, style: str, study_id: str, data: Mapping[str, Any], **more: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        study=study_id,
        data=data,
        script=Markup(script),
        style=Markup(style),
        policy=_policy(script, style),
        **more,
    )


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """What the page may do: its own script and style, pictures in data URIs; no request, frame, form or plug-in."""

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
