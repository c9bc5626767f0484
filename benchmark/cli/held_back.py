"""`cxrbench data hold-back`: a phantom that nobody else can draw."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..console_tables import tell
from .options import Force, Json


def add_hold_back(app: typer.Typer, keep: Callable[..., None]) -> None:
    """The command; keep: keeps a dataset and prints what was found, (dataset, force=, as_json=)."""

    @app.command("hold-back")
    def hold_back(
        like: Annotated[str, typer.Argument(help="phantom_hard, phantom_nih or phantom_boxes.")],
        salt_file: Annotated[
            Path, typer.Option(help="A file with the secret salt in its first line (openssl rand -hex 32).")
        ],
        name: Annotated[str, typer.Option(help="Name of the dataset.")] = "",
        resolution: Annotated[int, typer.Option(help="Pixels a side to draw (16 to 1024).")] = 256,
        force: Force = False,
        as_json: Json = False,
    ) -> None:
        """Draw a phantom with a secret salt: films on which a claim can only be met by running its code."""
        from ..data.catalogue import check_free
        from ..data.phantom.held_back import held_back
        from ..errors import InputError

        name = name or f"held_back_{like.removeprefix('phantom_')}"
        check_free(name, force=force)
        try:
            salt = salt_file.read_text(encoding="utf-8").splitlines()[0].strip()
        except (OSError, UnicodeDecodeError, IndexError):
            raise InputError(f"{salt_file}: expected a text file with the salt in its first line") from None
        tell(f"drawing {name} like {like} at {resolution} pixels", sys.stderr)
        keep(held_back(like, salt, resolution, name=name), force=force, as_json=as_json)
