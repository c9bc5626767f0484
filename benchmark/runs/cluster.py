"""A Dask cluster as a run uses it: the scheduler that is named, and workers that can take its steps."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import CxrbenchError, InputError, one_line

SAID_AFTER, AGAIN_AFTER = 3.0, 300.0
"""Seconds without a worker until that is said, and until it is said again."""
LOOKED_EVERY, MINDED_EVERY = 0.5, 2.0
"""Seconds between two looks: before a run, and while it goes."""
AT_THE_END = 5.0
"""Seconds that a last look may take."""


def check_engine(engine: str, address: str | None) -> None:
    """InputError for an engine that is none, for a cluster without its address, and for the address of one that is not
    used."""
    if engine not in ("processes", "dask"):
        raise InputError(f"unknown engine '{engine}': expected processes or dask")
    if engine == "dask" and not address:
        raise InputError("--engine dask needs --address tcp://HOST:PORT of the scheduler")
    if engine != "dask" and address:
        raise InputError(f"--address {address} goes with --engine dask; without it the run stays on this machine")


def connected(address: str | None) -> Any:
    """A client of the scheduler. InputError where Dask is not installed or nobody answers."""
    try:
        from dask.distributed import Client

        # a scheduler that is lost is one line of ours
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        return Client(address, timeout="10s", set_as_default=False)  # type: ignore[no-untyped-call]  # Dask has no types
    except ImportError:
        raise InputError("--engine dask needs Dask: pip install 'dask[distributed]'") from None
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address}: {one_line(error)}") from None


def on_workers(address: str | None, device: str) -> Any:
    """A backend of joblib that does every task on a worker of the cluster, a free GPU with it where the device is one.
    joblib's own does them in this process where there is one worker, and waits for none that comes later."""
    client = connected(address)
    from joblib._dask import DaskDistributedBackend

    class OnWorkers(DaskDistributedBackend):  # type: ignore[misc, unused-ignore]  # joblib has no types
        def effective_n_jobs(self, n_jobs: int) -> int:
            return 2  # for joblib: not one, which it would do itself; all are dispatched at once

    resources = {"resources": {"GPU": 1}} if device.startswith("cuda") else {}
    return OnWorkers(client=client, **resources)


def await_workers(address: str | None, device: str, say: Callable[[str], None]) -> None:
    """Wait until the cluster has a worker that can take a step of a run on this device; `say` that it waits, for what, and
    how one is started. Workers of a queue may come hours later: only Ctrl-C ends the wait."""
    on_gpu = device.startswith("cuda")
    begun, told = time.monotonic(), 0.0
    with connected(address) as client:
        while not _workers(client, on_gpu=on_gpu):
            waited = time.monotonic() - begun
            if waited > (told + AGAIN_AFTER if told else SAID_AFTER):
                say(_words(str(address), on_gpu, _workers(client, on_gpu=False)))
                told = waited
            time.sleep(LOOKED_EVERY)


@contextmanager
def minded(address: str | None, device: str, say: Callable[[str], None]) -> Iterator[None]:
    """Within the block `say` that the cluster has no workers any more that can take a step of a run on this device, and how
    one is started; then that it has. A scheduler that is lost is the run's to say."""
    over = threading.Event()
    with connected(address) as client:
        minder = threading.Thread(target=_mind, args=(client, str(address), device, say, over), daemon=True)
        minder.start()
        try:
            yield
        finally:
            over.set()
            minder.join(AT_THE_END)


def _mind(client: Any, address: str, device: str, say: Callable[[str], None], over: threading.Event) -> None:
    on_gpu, since, told = device.startswith("cuda"), time.monotonic(), 0.0
    with suppress(CxrbenchError):
        while not over.wait(MINDED_EVERY):
            waited = time.monotonic() - since
            if _workers(client, on_gpu=on_gpu):
                if told:
                    say(f"workers are at {address} again: goes on")
                since, told = time.monotonic(), 0.0
            elif waited > (told + AGAIN_AFTER if told else SAID_AFTER) and not over.is_set():
                others = _workers(client, on_gpu=False)
                say(f"the run lost its workers (finished steps are in the store); {_words(address, on_gpu, others)}")
                told = waited


def _workers(client: Any, *, on_gpu: bool) -> int:
    """How many workers there are; with `on_gpu` of those that offer one."""
    try:
        known = client.scheduler_info(n_workers=-1)
    except TypeError:  # of Dask before 2025.4, which gives all of them
        known = client.scheduler_info()
    except Exception as error:
        raise CxrbenchError(f"the Dask cluster was lost while its workers were asked for: {one_line(error)}") from None
    offered = [worker.get("resources") or {} for worker in known["workers"].values()]
    return sum(not on_gpu or one.get("GPU", 0) >= 1 for one in offered)


def _words(address: str, on_gpu: bool, others: int) -> str:
    found = f"none of its {others} workers offers a GPU" if others else "it has none"
    gpu = ' --resources "GPU=1"' if on_gpu else ""
    return f"waits for workers at {address} ({found}); start one: dask worker {address} --nthreads 1 --nworkers 1{gpu}"
