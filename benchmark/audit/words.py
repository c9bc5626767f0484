"""An audit as lines for the terminal: a table of the spaces, copies, annotations, alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..console_tables import cell, table
from ..fidelity.audit import Audit
from ..fidelity.compare import Share

if TYPE_CHECKING:
    from rich.table import Table

SHARES = ("precision", "recall", "density", "coverage")


def heading(audit: Audit) -> str:
    """What was compared with what."""
    return (
        f"{audit.films.name} ({audit.films.count:,} films, {audit.films.made_by}) against {audit.real.name} "
        f"({audit.real.count:,} real films), {audit.films.resolution} pixels, {audit.compared:,} films on every side"
    )


def with_real(share: Share) -> str:
    """A share and that of real films: `0.91 (0.95)`."""
    return f"{share.value:.2f} ({share.real:.2f})"


def spaces_table(audit: Audit) -> Table:
    """One row a space; in brackets the same of other real films."""
    made = table(["distance", "value", "floor", "ratio", "95 %", "KID ± se", *SHARES])
    for one in audit.spaces:
        fd = one.frechet
        made.add_row(
            cell(one.title, "bold" if fd.seen else ""),
            f"{fd.distance:.4g}",
            f"{fd.floor:.4g}",
            cell(f"{fd.ratio:.2f}", "red" if fd.seen else ""),
            f"{fd.low:.2f} to {fd.high:.2f}",
            f"{one.kernel:.3g} ± {one.kernel_error:.1g}",
            *(with_real(getattr(one, name)) for name in SHARES),
        )
    return made


def facts(audit: Audit) -> list[tuple[str, str]]:
    """What is said besides the spaces, by name."""
    found = []
    if (share := audit.alike) is not None:
        found.append(
            ("MS-SSIM of pairs", f"{_between(share.value, share.low, share.high)}; of real films {share.real:.3f}")
        )
    again, real = (f"{100 * value:.1f} %" for value in (audit.repeats, audit.repeats_real))
    found.append(("shown more than once", f"{again} of the films ({real} of real ones)"))
    if (copies := audit.copies) is not None:
        found.append(("copies of training films", copies.sentence))
        mine, theirs = (f"{100 * value:.0f} %" for value in (copies.authentic, copies.authentic_real))
        found.append(("AuthPct", f"{mine} authentic ({theirs} of held-out real films)"))
        cells = "one cell" if copies.copying_cells == 1 else f"{copies.copying_cells} cells"
        found.append((f"C_T ({cells})", copies.copying_sentence or "left out"))
    if (shown := audit.patients) is not None:
        network = f"network of {shown.network}, AUC {_between(shown.auc, shown.auc_low, shown.auc_high)}"
        found.append((f"films that show a training patient ({network})", shown.sentence))
        found.append(
            (
                "beyond the threshold of re-identification",
                f"{shown.above} films, {100 * shown.share:.1f} % "
                f"({100 * shown.false_alarms:.1f} % of held-out patients; p = {shown.p:.2g})",
            )
        )
    if (members := audit.membership) is not None:
        bias = (
            "; the control reaches it too: the split is biased, nothing is said of the films"
            if members.split_bias
            else ""
        )
        found.append(("membership", f"{members.sentence}, control {members.control:.2f} (p = {members.p:.2g}){bias}"))
    for one in audit.agreement:
        ours = _between(one.value, one.low, one.high)
        theirs = _between(one.real, one.real_low, one.real_high)
        name = f"{one.metric} of a REAL model, {one.structure.replace('_', ' ')}"
        found.append((name, f"{ours}; on held-out real films {theirs}"))
    return found


def _between(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
