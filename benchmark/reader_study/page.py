"""The page that a reader opens: one file with every film in it, that asks nobody for anything.

A content security policy allows the page's own script and style (by their sha256) and pictures in data URIs, nothing else.
The page is given names, pixels and, where they are asked about, the classes; it cannot tell what it was not given.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from .study import NONE_OF_THESE


def render(study_id: str, films: Sequence[tuple[str, bytes]], classes: Sequence[str]) -> str:
    """The page of a study. `films`: (name, PNG) in the order shown. `classes`: asked about too; empty: not asked."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = _own("page.js"), _own("page.css")
    data = {
        "study": study_id,
        "films": [{"item": name, "png": base64.b64encode(png).decode()} for name, png in films],
        "findings": [*classes, NONE_OF_THESE] if classes else [],
    }
    return environment.get_template("page.html.j2").render(
        study=study_id,
        data=data,
        script=Markup(script),
        style=Markup(style),
        policy=_policy(script, style),
        asks_finding=bool(classes),
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
