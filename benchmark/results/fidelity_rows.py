"""What results.json says of the fidelity of a run's films: an optional part, which older runs have not."""

from __future__ import annotations

from pydantic import Field

from ..fidelity.compare import Agreement, InSpace, Share
from ..schema import Strict

SCHEMA = 1


class FidelityRow(Strict):
    """The films of one size, fold and seed beside all real films of the run, in spaces that take seconds; `digest` is that
    of the films, `real` that of the real ones. `repeats`: the share of films that are shown more than once, and that of the
    real ones; `alike`: MS-SSIM of pairs; `agreement`: what the run's own REAL model of the same fold, size and seed says of
    the films' annotations. Rows from before these two were kept have none. `note`: why there is no number."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    size: str
    fold: str
    seed: int
    films: int
    resolution: int
    digest: str
    real: str
    spaces: list[InSpace] = Field(default_factory=list)
    repeats: float | None = None
    repeats_real: float | None = None
    alike: Share | None = None
    agreement: list[Agreement] = Field(default_factory=list)
    made_again: str = ""
    """Of an entry whose films a maintainer has made again from its seed: with which version; empty where its own run told
    the numbers."""
    note: str = ""
