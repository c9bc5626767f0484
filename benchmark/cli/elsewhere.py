"""What a run says besides its scores: the fidelity of its films, mean average precision where its models detect and, where
it is asked for, its models on further test sets and the groups of its test films."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..progress import Progress
    from ..results.rows import Results
    from ..runs.request import Prepared


def besides(prepared: Prepared) -> list[str]:
    """What is asked for besides the plan, in words that say it completely: further sets with their digests, and groups."""
    sets = [f"also_test {one.name} {one.films.digest} {' '.join(one.structures)}" for one in prepared.further]
    return [*sets, *(f"group {name}" for name in getattr(prepared.request, "groups", ()))]


def with_elsewhere(prepared: Prepared, results: Results, progress: Progress) -> Results:
    """The results with further test sets and groups, as they are where none is asked for. Models that the store has are
    asked; nothing is trained."""
    from ..results.elsewhere import elsewhere
    from ..results.finished import Harvest
    from ..runs.further import score_further
    from ..runs.request import Request

    request, plan = prepared.request, prepared.plan
    if not isinstance(request, Request) or not (prepared.further or request.groups):
        return results
    failed = list(score_further(plan, prepared.store, prepared.further, progress.part("", 0.0, 0.7)))
    progress.update(0.7, "groups")
    found = elsewhere(Harvest(plan, prepared.store), prepared.further, request.groups, results.headline)
    found = found.model_copy(update={"left_out": [*found.left_out, *failed]})
    return results.model_copy(update={"elsewhere": found})


def with_fidelity(prepared: Prepared, results: Results, progress: Progress) -> Results:
    """The results with what the spaces that take seconds say of the run's films."""
    from ..audit.lean import lean_rows
    from ..results.finished import Harvest

    rows = lean_rows(Harvest(prepared.plan, prepared.store), progress)
    return results.model_copy(update={"fidelity": rows})


def with_film_checks(prepared: Prepared, results: Results, progress: Progress) -> Results:
    """The results with what the run's films say against what their provider says of them."""
    from ..results.film_checks import film_checks
    from ..results.finished import Harvest

    rows = film_checks(Harvest(prepared.plan, prepared.store), progress)
    return results.model_copy(update={"film_checks": rows})


def with_precision(prepared: Prepared, results: Results, progress: Progress) -> Results:
    """The results with the mean average precision of what the run's models detected."""
    from ..results.finished import Harvest
    from ..results.precision import precision_rows

    rows = precision_rows(Harvest(prepared.plan, prepared.store), progress)
    return results.model_copy(update={"average_precision": rows})
