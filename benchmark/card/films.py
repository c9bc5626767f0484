"""What an audit says of the synthetic films of a finished run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..audit.faithful import with_agreement
from ..audit.run_films import RunFilms
from ..audit.sources import open_sides
from ..errors import CxrbenchError
from ..fidelity.audit import Audit, make_audit
from ..results.rows import Results

if TYPE_CHECKING:
    from ..progress import Progress


def audit_of(results: Results, found: RunFilms, progress: Progress) -> tuple[Audit | None, str]:
    """The audit of a run's films against the real ones of the run, or None and why there is none."""
    try:
        folder, data = found.films.folder, results.data.name
        opened = open_sides(str(folder), data, None, progress.part("films", 0.0, 0.1))
        opened = replace(opened, cell=found.record.cell)
        made_by = f"{results.provider.title}, {found.words}"
        audit = make_audit(opened.sides, made_by, (), progress.part("", 0.1, 0.9))
        return with_agreement(audit, opened, progress.part("annotations", 0.9, 1.0)), ""
    except CxrbenchError as error:
        return None, str(error)
