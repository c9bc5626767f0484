"""A Dask cluster that has no workers yet, and addresses that nothing is done with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs import cluster
from cxrbench.benchmark.runs.cluster import await_workers, check_engine


@pytest.fixture
def workers(monkeypatch) -> dict[str, dict[str, Any]]:
    """The workers of a scheduler that always answers, by address."""
    known: dict[str, dict[str, Any]] = {}

    class Client:
        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            assert n_workers == -1  # all of them
            return {"workers": dict(known)}

    @contextmanager
    def connected(address: str) -> Iterator[Client]:
        yield Client()

    monkeypatch.setattr(cluster, "connected", connected)
    monkeypatch.setattr(cluster, "SAID_AFTER", 0.02)
    monkeypatch.setattr(cluster, "LOOKED_EVERY", 0.01)
    return known


def wait(device: str, workers: dict[str, dict[str, Any]], comes: dict[str, Any]) -> list[str]:
    """What is said until a worker comes."""
    said: list[str] = []
    timer = threading.Timer(0.3, lambda: workers.update({"tcp://late": comes}))
    timer.start()
    await_workers("tcp://h:1", device, said.append)
    timer.cancel()
    return said


def test_a_cluster_without_workers_says_that_it_waits_and_how_one_is_started(workers):
    assert wait("cpu", workers, {}) == [
        "waits for workers at tcp://h:1 (it has none); start one: dask worker tcp://h:1 --nthreads 1 --nworkers 1"
    ]
    assert wait("cpu", workers, {}) == []


def test_workers_without_a_gpu_are_not_waited_for_in_silence(workers):
    workers["tcp://cpu"] = {"resources": {}}
    (said,) = wait("cuda:0", workers, {"resources": {"GPU": 1.0}})
    assert "none of its 1 workers offers a GPU" in said and said.endswith('--resources "GPU=1"')


def test_it_is_said_again_after_a_while(workers, monkeypatch):
    monkeypatch.setattr(cluster, "AGAIN_AFTER", 0.05)
    assert len(wait("cpu", workers, {})) > 1


def test_an_address_without_dask_and_dask_without_an_address_are_one_line():
    check_engine("processes", None)
    check_engine("dask", "tcp://h:1")
    for engine, address, said in (
        ("processes", "tcp://h:1", "--address tcp://h:1 goes with --engine dask"),
        ("dask", None, "--engine dask needs --address"),
        ("spark", None, "unknown engine 'spark'"),
    ):
        with pytest.raises(InputError, match=said):
            check_engine(engine, address)


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(InputError, match="no Dask scheduler answers at nonsense://x"):
        cluster.connected("nonsense://x")
