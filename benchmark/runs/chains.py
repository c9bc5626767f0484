"""Execution: one loop over chains of steps with joblib, each step in a fresh process with a time limit (design section 9).

On one machine joblib's threads only wait for those processes; on a Dask cluster its workers do, with the store on a file
system that all of them see. A chain is the steps of one fold, size and seed that need each other, in order.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..processes import surroundings
from ..registry import find_provider
from ..schema import utc_now
from .job import Job, job_line
from .record import Failure
from .store import Level, Store

_running: set[subprocess.Popen[str]] = set()
_stopped = threading.Event()


@dataclass(frozen=True)
class Outcome:
    """What became of one step: ok, or the line that says why not. `input_error` marks what the user can mend."""

    key: str
    label: str
    error: str = ""
    input_error: bool = False
    value: Any = None


def step_label(job: Job) -> str:
    """What a step is called where it is shown."""
    what = job.arm if job.kind == "cell" else f"{job.kind} {find_provider(job.provider).name}"
    return f"{what} {job.size}".strip()


def run_job(job: Job, time_limit: float | None) -> Outcome:
    """Do one job in a fresh process. A hang, an exit or a crash becomes an Outcome with an error, never an exception."""
    name = find_provider(job.provider).name
    label = step_label(job)
    outcome_path = Path(job.outcome)
    outcome_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", errors="replace") as noise:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            text=True,
            start_new_session=True,
            env=surroundings(job.threads),
        )
        _running.add(process)
        try:
            code = _wait(process, job, time_limit)
        finally:
            _kill(process)
            _running.discard(process)
        noise.seek(0)
        said = noise.read()[-4000:]
    found = _read_outcome(outcome_path)
    if job.progress:
        Path(job.progress).unlink(missing_ok=True)
    if found is not None and "ok" in found:
        return Outcome(job.key, label, value=found["ok"])
    if found is not None:
        error, detail, bad_input = found["error"], found["detail"], found["input"]
    elif code is None:
        error = f"took more than the time limit of {time_limit:.0f} s and was stopped (raise it with --time-limit)"
        detail, bad_input = said, False
    else:
        last = said.strip().splitlines()[-1:] or ["nothing was said"]
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        error, detail, bad_input = f"the process {how}: {last[0]}", said, False
    who = f"provider {name}: " if job.kind != "cell" and found is None else ""
    message = f"{who}{error}"
    if job.key:
        Store(Path(job.store)).fail(Failure(key=job.key, step=label, message=message, detail=detail, created=utc_now()))
    return Outcome(job.key, label, message, bad_input)


def _wait(process: subprocess.Popen[str], job: Job, time_limit: float | None) -> int | None:
    """Exit code, or None when the time limit was reached."""
    assert process.stdin is not None
    try:
        process.stdin.write(job_line(job))
        process.stdin.flush()
    except BrokenPipeError:
        return process.wait()
    try:
        return process.wait(timeout=time_limit)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and everything it started."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself, and so did its children
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_outcome(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    finally:
        path.unlink(missing_ok=True)


def stop_all() -> None:
    """Stop every running step (for Ctrl-C); the store keeps what was finished."""
    _stopped.set()
    for process in list(_running):
        _kill(process)


def step_done(job: Job) -> bool:
    """Whether the store has a sound result of a job."""
    level = Level.SYNTHETIC if job.kind == "synthesise" else Level.RECORDS
    return Store(Path(job.store)).sound(level, job.key)


def run_chain(jobs: Sequence[Mapping[str, Any]], time_limit: float | None) -> list[Outcome]:
    """Do the steps of a chain in order; what the store has is not done again, what needs a failed step is not tried."""
    outcomes: list[Outcome] = []
    failed: dict[str | None, str] = {}
    for values in jobs:
        job = Job(**values)
        label = step_label(job)
        if _stopped.is_set():
            break
        reason = next(
            (failed[key] for key in (job.synthetic_key, job.start_key, job.teacher_key) if key in failed), None
        )
        if step_done(job):
            outcomes.append(Outcome(job.key, label))
        elif reason:
            outcomes.append(Outcome(job.key, label, reason))
            Store(Path(job.store)).fail(Failure(key=job.key, step=label, message=reason, created=utc_now()))
        else:
            outcomes.append(run_job(job, time_limit))
        if outcomes[-1].error:
            failed[job.key] = outcomes[-1].error
    return outcomes


def run_chains(
    chains: Sequence[Sequence[Job]], *, jobs: int, engine: str, address: str | None, time_limit: float | None
) -> Iterator[list[Outcome]]:
    """Do all chains and yield the outcomes of each as it ends.

    `engine` is `processes` (this machine, `jobs` at a time) or `dask` (the cluster at `address`).
    """
    import joblib

    _stopped.clear()
    plain = [[asdict(job) for job in chain] for chain in chains]
    with _backend(engine, address, jobs, chains[0][0].device):
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        yield from parallel(joblib.delayed(run_chain)(chain, time_limit) for chain in plain)


def _backend(engine: str, address: str | None, jobs: int, device: str) -> Any:
    import joblib

    if engine == "processes":
        return joblib.parallel_config(backend="threading", n_jobs=jobs)
    if engine != "dask":
        raise InputError(f"unknown engine '{engine}': expected processes or dask")
    if not address:
        raise InputError("--engine dask needs --address tcp://HOST:PORT of the scheduler")
    try:
        from dask.distributed import Client

        client = Client(address, timeout="10s", set_as_default=False)
    except ImportError:
        raise InputError("--engine dask needs Dask: pip install 'dask[distributed]'") from None
    except OSError as error:
        raise InputError(f"no Dask scheduler answers at {address}: {error}") from None
    resources = {"resources": {"GPU": 1}} if device.startswith("cuda") else {}
    return joblib.parallel_config(backend="dask", client=client, wait_for_workers_timeout=60, **resources)
