"""A Dask cluster that has no workers yet, and addresses that nothing is done with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs import cluster
from cxrbench.benchmark.runs.cluster import await_workers, check_engine, minded


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
    monkeypatch.setattr(cluster, "MINDED_EVERY", 0.01)
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


def until(said: list[str], lines: int) -> None:
    deadline = time.monotonic() + 60
    while len(said) < lines and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("device", "goes", "found"), [("cpu", True, "it has none"), ("cuda:0", False, "none of its 1")]
)
def test_a_run_whose_workers_are_gone_says_so_and_when_there_are_others(workers, device, goes, found):
    workers["tcp://a"] = {"resources": {"GPU": 1.0}}
    said: list[str] = []
    with minded("tcp://h:1", device, said.append):
        time.sleep(0.1)
        assert said == []
        workers["tcp://a"] = {}
        if goes:
            workers.clear()
        until(said, 1)
        workers["tcp://b"] = {"resources": {"GPU": 1.0}}
        until(said, 2)
    gone, again = said
    assert gone.startswith(
        f"the run lost its workers (finished steps are in the store); waits for workers at tcp://h:1 ({found}"
    )
    assert again == "workers are at tcp://h:1 again: goes on"


def test_that_workers_are_gone_is_said_again_after_a_while_and_not_after_the_run(workers, monkeypatch):
    monkeypatch.setattr(cluster, "AGAIN_AFTER", 0.05)
    said: list[str] = []
    with minded("tcp://h:1", "cpu", said.append):
        until(said, 3)
    assert said == said[:1] * len(said)
    before = len(said)
    time.sleep(0.2)
    assert before == len(said) >= 3


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
