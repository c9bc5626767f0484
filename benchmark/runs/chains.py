"""Execution: one loop over chains of steps with joblib, each step in a fresh process with a time limit.

On one machine joblib's threads only wait for those processes; on a Dask cluster its workers do, with the store on a file
system that all of them see. A chain is the steps of one fold, size and seed that need each other, in order.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..disk import takes_more, temporary, trouble
from ..errors import CxrbenchError, InputError, one_line
from ..fork_server import borrowed, close_idle
from ..processes import Apart, Ended, carried, end_all, last_line, surroundings
from ..schema import utc_now
from .cluster import check_engine, on_workers
from .held_films import films_changed, forget
from .job import Describe, Fitting, Job, Order, Step, Synthesise, Train
from .own_store import OwnStore
from .record import Failure
from .store import Level, Store
from .told import says_too_much

_stopped = threading.Event()
_STEPS = (Synthesise, Fitting, Train)
_loaded: set[str] = set()
"""Modules that steps have loaded, which those that come later need too."""
UNSAID = 74
"""Exit code of a process that could not write its outcome (EX_IOERR)."""


@dataclass(frozen=True)
class Outcome:
    """What became of one step: ok, or the line that says why not. `input_error` marks what the user can mend."""

    key: str
    label: str
    error: str = ""
    input_error: bool = False
    value: Any = None


def run_job(job: Job, time_limit: float | None) -> Outcome:
    """Do one job in a fresh process. A hang, an exit, a crash or a full disk becomes an Outcome with an error, never an
    exception."""
    try:
        return _run_job(job, time_limit)
    except OSError as error:  # of the temporary folder, of the store, or of starting a process
        return _failed(job, trouble(error) or f"cannot start {job.label}: {error}", input_error=True)


def _run_job(job: Job, time_limit: float | None) -> Outcome:
    step = job if isinstance(job, _STEPS) else None
    store = None if step is None else Store(step.work.store)
    with tempfile.TemporaryDirectory(prefix="cxrbench-job-") as scratch:
        progress = None if step is None or store is None else store.progress(step.key)
        order = Order(job=job, outcome=Path(scratch) / "outcome.json", progress=progress)
        with _started(job) as apart:
            apart.give(order.model_dump_json() + "\n", last=False)
            ended = apart.wait(time_limit)
        found = _read_outcome(order.outcome)
    _loaded.update((found or {}).get("loaded", ()))
    if progress is not None:
        with contextlib.suppress(OSError):
            progress.unlink(missing_ok=True)
    key = "" if step is None else step.key
    if found is not None and "ok" in found:
        return Outcome(key, job.label, value=found["ok"])
    if ended.code == UNSAID:
        return _failed(job, f"cannot write in {temporary()}: free space there, or set TMPDIR", input_error=True)
    who = f"provider {job.name}: " if job.name and found is None else ""
    error, detail, bad_input = _reason(found, ended, time_limit)
    return _failed(job, who + error, detail, input_error=bad_input)


@contextlib.contextmanager
def _started(job: Job) -> Iterator[Apart]:
    """A worker's process. For what computes on a processor it is a fork of one that has loaded what was needed before; what
    computes on a GPU is started anew."""
    module, environment = f"{__package__}.worker", surroundings(job.threads)
    command = [sys.executable, "-P", "-m", module]
    if not isinstance(job, Describe) and job.device != "cpu":
        yield Apart(command, environment=environment)
        return
    with borrowed(module, environment) as server:
        load = _loaded if isinstance(job, _STEPS) else ()  # between runs a server loads no module that may be changed
        fork = None if server is None else lambda mark: server.fork(mark, load, carried(environment))
        yield Apart(command, environment=environment, fork=fork)


def _failed(job: Job, error: str, detail: str = "", *, input_error: bool = False) -> Outcome:
    """The outcome of a job that failed; of a step the reason is kept, where the disk takes it."""
    if not isinstance(job, _STEPS):
        return Outcome("", job.label, error, input_error)
    with contextlib.suppress(InputError):
        Store(job.work.store).fail(
            Failure(key=job.key, step=job.label, message=error, detail=detail, created=utc_now())
        )
    return Outcome(job.key, job.label, error, input_error)


def _reason(found: Mapping[str, Any] | None, ended: Ended, time_limit: float | None) -> tuple[str, str, bool]:
    """Why a job failed: the line, details for the store, and whether the user's input is to blame."""
    if found is not None:
        return found["error"], found["detail"], found["input"]
    said = "\n".join(part for part in (ended.output[-4000:], ended.errors[-4000:]) if part)
    if ended.code is None:
        return (
            f"took more than the time limit of {time_limit:.0f} s and was stopped (raise it with --time-limit; the same "
            "command goes on from what its trainings have kept)",
            said,
            False,
        )
    how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"exited with code {ended.code}"
    if ended.code == -signal.SIGSEGV:
        how += " (one that writes into its training set, which is read-only, may end so: change a copy)"
    return f"the process {how}: {last_line(ended.errors or ended.output)}", said, False


def _read_outcome(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found
    except (OSError, ValueError):
        return None
    finally:
        path.unlink(missing_ok=True)


def stop_all() -> None:
    """Stop every running step (for Ctrl-C); the store keeps what was finished."""
    _stopped.set()
    end_all()


def step_done(step: Step, chain: Sequence[Step] = ()) -> bool:
    """Whether the store has a sound result of a step: of films the fit too, where a step of their chain is left to do (its
    record says what the fit took)."""
    store = OwnStore(step.work.store)
    if not store.sound(step.level, step.key):
        return False
    if not isinstance(step, Synthesise) or store.path(Level.FITS, str(step.cell.fit_key)).is_dir():
        return True
    return all(store.sound(other.level, other.key) for other in chain if step.key in other.needs)


def run_chain(chain: Sequence[Step], time_limit: float | None) -> list[Outcome]:
    """Do the steps of a chain in order; what the store has is not done again, what needs a failed step is not tried."""
    outcomes: list[Outcome] = []
    failed: dict[str, str] = {}
    for step in chain:
        if _stopped.is_set():
            break
        reason = next((failed[key] for key in step.needs if key in failed), None)
        if step_done(step, chain):
            outcomes.append(Outcome(step.key, step.label))
        elif reason:
            outcomes.append(_failed(step, reason))
        else:
            outcomes.append(_run_step(step, time_limit))
        if outcomes[-1].error:
            failed[step.key] = outcomes[-1].error
    return outcomes


def _run_step(step: Step, time_limit: float | None) -> Outcome:
    """Do one step on films that are the same before and after. Where the store takes nothing more, no other is begun."""
    changed = films_changed(step)
    if not changed:
        OwnStore(step.work.store).make_way(step)
        outcome = run_job(step, time_limit)
        changed = films_changed(step)
        if not changed:
            if outcome.error and not takes_more(step.work.store):
                _stopped.set()
            return outcome if outcome.error else _heard(step, outcome)
        forget(step)
    return _failed(step, changed, input_error=True)


def _heard(step: Step, outcome: Outcome) -> Outcome:
    """The outcome of a step that ended well, unless its provider says more of itself than a record holds."""
    if not (words := says_too_much(step)):
        return outcome
    forget(step)
    return _failed(step, words)


def run_chains(
    chains: Sequence[Sequence[Step]], *, jobs: int, engine: str, address: str | None, time_limit: float | None
) -> Iterator[list[Outcome]]:
    """Do all chains and yield the outcomes of each as it ends.

    `engine` is `processes` (this machine, `jobs` at a time) or `dask` (the cluster at `address`).
    """
    import joblib

    _stopped.clear()
    with _backend(engine, address, jobs, chains[0][0].device):
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        try:
            yield from parallel(joblib.delayed(run_chain)(chain, time_limit) for chain in chains)
        except Exception as error:
            if not type(error).__module__.startswith("distributed"):
                raise
            raise CxrbenchError(
                f"the Dask cluster at {address} was lost ({one_line(error)}); what is finished is in the store: start the "
                "cluster and the same command again"
            ) from None
        finally:
            close_idle()  # the next run loads our code anew: somebody may have changed it


def _backend(engine: str, address: str | None, jobs: int, device: str) -> Any:
    import joblib

    check_engine(engine, address)
    if engine == "processes":
        return joblib.parallel_config(backend="threading", n_jobs=jobs)
    return joblib.parallel_config(backend=on_workers(address, device))
