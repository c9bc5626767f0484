"""`cxrbench reidentify`: a network that knows patients again, for the audits of films."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console_tables import tell
from .options import Device, Json


def reidentify(
    data: Annotated[str, typer.Argument(help="A dataset with several films of some patients: a name or its folder.")],
    steps: Annotated[int, typer.Option(help="Training steps of 32 patients, two films of each.", min=1)] = 600,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a network that knows patients again, say how well on patients that it never saw, and keep it: `cxrbench
    audit` then asks it which training patients synthetic films show."""
    from ..audit.patient_net import patient_network
    from ..device import require_device
    from ..fidelity.reidentify import ReidentifySettings
    from ..runs.request import resolve_device
    from .progress_bar import shown_progress

    device = resolve_device(device)
    require_device(device)
    with shown_progress("reidentify") as progress:
        record, folder = patient_network(data, ReidentifySettings(steps=steps), device=device, progress=progress)
    if as_json:
        print(record.model_dump_json(by_alias=True, indent=1))
        return
    tell(f"learnt from {record.films:,} films of {record.patients:,} patients of {record.data.name}")
    tell(
        f"same patient or two: AUC {record.auc:.3f} ({record.low:.3f} to {record.high:.3f}) over "
        f"{record.verified_patients:,} held-out patients with two films; "
        f"at 1 % false alarms {100 * record.told:.0f} % of the pairs are recognised"
    )
    tell(f"kept   {folder}")
