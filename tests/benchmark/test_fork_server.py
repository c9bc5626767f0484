"""Children of a server that forks are as much apart as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxrbench.benchmark import fork_server
from cxrbench.benchmark.fork_server import ForkServer, borrowed, close_idle, loaded
from cxrbench.benchmark.processes import Apart, Ended, carried
from cxrbench.benchmark.runs import chains
from cxrbench.benchmark.runs.request import Request, execute, prepare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers that fork are for Linux")

SECONDS = 60
PROGRAM = '''
"""What a child does: the line that it reads is code."""
import sys

KEPT = []

def main():
    exec(compile(sys.stdin.readline().replace(";;", "\\n"), "order", "exec"), {"KEPT": KEPT})
'''


@pytest.fixture(autouse=True)
def own_server(monkeypatch):
    """Here a run ends its own server, as it does outside the tests."""
    monkeypatch.setattr(chains, "close_idle", close_idle)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "obeys.py").write_text(PROGRAM)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def server(environment) -> Iterator[ForkServer]:
    server = ForkServer("obeys", environment)
    yield server
    server.close()


def child(server: ForkServer, code: str, load: tuple[str, ...] = ()) -> Apart:
    apart = Apart(["false"], environment={}, fork=lambda mark: server.fork(mark, load))
    assert not isinstance(apart.process, subprocess.Popen)
    apart.give(code.replace("\n", ";;") + "\n", last=False)
    return apart


def ended(server: ForkServer, code: str, limit: float = SECONDS, **options) -> Ended:
    return child(server, code, **options).wait(limit)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("1 / 0", 1),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    ],
)
def test_a_child_ends_as_a_program_does(server, code, found):
    assert ended(server, code).code == found


def test_what_a_child_prints_is_its_own(server):
    one = ended(server, "import sys; print('out'); print('err', file=sys.stderr)")
    assert (one.output, one.errors) == ("out\n", "err\n")
    assert ended(server, "raise ValueError('of this child')").errors.endswith("ValueError: of this child\n")
    assert ended(server, "import os; os.system('echo from a shell')").output == "from a shell\n"


def test_children_share_nothing_but_what_was_loaded(server):
    for _ in range(2):
        assert ended(server, "KEPT.append(1); print(len(KEPT))").output == "1\n"
    draws = {ended(server, "import random; print(random.random())", load=("random",)).output for _ in range(3)}
    assert len(draws) == 3
    code = "import sys; print('json.tool' in sys.modules, 'no.such' in sys.modules)"
    assert ended(server, code).output == "False False\n"
    assert ended(server, code, load=("json.tool", "no.such")).output == "True False\n"
    assert ended(server, code).output == "True False\n", "it stays loaded"


def test_a_child_leads_its_session_and_has_its_mark_where_others_read_it(server):
    code = """import os
print(os.getsid(0) == os.getpid() == os.getpgrp())
print([one for one in open("/proc/self/environ", "rb").read().split(b"\\0") if one.startswith(b"CXRBENCH_PROCESS=")])
print(os.environ["CXRBENCH_PROCESS"])
print(sorted(os.listdir("/proc/self/fd"))[:3], len(os.listdir("/proc/self/fd")))"""
    apart = child(server, code)
    leads, told, own, ends = apart.wait(SECONDS).output.splitlines()
    assert leads == "True" and apart.mark in told and own.endswith(f"/{apart.mark}")
    assert ends == "['0', '1', '2'] 4", "one more is the list's own"


def test_what_a_child_leaves_behind_is_stopped_though_it_only_forked(server, tmp_path):
    left = tmp_path / "pid"
    code = f"""import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(left)!r}, "w").write(str(os.getpid()))
        time.sleep(7533)
    os._exit(0)
while not os.path.exists({str(left)!r}) or not open({str(left)!r}).read():
    time.sleep(0.01)"""
    assert ended(server, code).code == 0
    pid = int(left.read_text())
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it is still there")
    assert server.lives


def test_a_child_that_has_neither_session_nor_order_yet_is_ended(server, monkeypatch):
    def none_yet(group: int, number: int) -> None:
        raise ProcessLookupError(group)

    apart = Apart(["false"], environment={}, fork=lambda mark: server.fork(mark, ()))
    monkeypatch.setattr(os, "killpg", none_yet)
    monkeypatch.setattr("cxrbench.benchmark.processes.end_marked", lambda mark: None)
    ending = threading.Thread(target=apart.end, daemon=True)
    ending.start()
    ending.join(SECONDS)
    over = not ending.is_alive()
    apart.process.stdin.close()  # that it ends at last, whatever was found
    assert over and apart.process.wait(SECONDS) == -signal.SIGKILL
    assert server.lives


def test_a_limit_stops_a_child_and_not_its_server(server):
    assert ended(server, "import time; time.sleep(7534)", limit=0.3).code is None
    assert ended(server, "print('on')").output == "on\n"


def test_another_thread_may_end_it(server):
    apart = child(server, "import time; time.sleep(7535)")
    threading.Timer(0.3, apart.end).start()
    assert apart.wait(SECONDS).code == -signal.SIGKILL
    assert ended(server, "pass").code == 0


def test_a_server_with_threads_forks_nothing_and_a_process_is_started(server, environment, tmp_path):
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(7536,), daemon=True).start()\n"
        + PROGRAM.split('"""', 2)[2]
    )
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    other = ForkServer("threaded", {**environment, "PYTHONPATH": path})
    apart = Apart([sys.executable, "-c", "print('anew')"], environment=os.environ, fork=other.fork)
    assert isinstance(apart.process, subprocess.Popen) and apart.wait(SECONDS).output == "anew\n"
    other.close()


def test_a_server_that_is_gone_is_noticed(environment):
    server = ForkServer("obeys", environment)
    apart = child(server, "import time; time.sleep(7537)")
    server._process.kill()
    assert apart.wait(SECONDS).code == -signal.SIGKILL
    assert server.fork("0" * 32) is None and not server.lives
    broken = ForkServer("no_such_module", environment)
    assert broken.fork("0" * 32) is None
    server.close()
    broken.close()


def test_a_server_whose_end_cannot_be_waited_for_yet_is_told_by_its_silence(environment, monkeypatch):
    """The kernel closes what a process had open before its end is told to whoever waits for it."""
    server = ForkServer("obeys", environment)
    server._process.kill()
    server._process.wait()
    monkeypatch.setattr(server._process, "poll", lambda: None)
    assert server.lives and server.fork("0" * 32) is None and not server.lives
    server.close()


def test_a_server_is_used_again_and_by_several_at_a_time_and_one_that_died_is_not(environment):
    pids = []
    for number in range(3):
        with borrowed("obeys", environment) as server, borrowed("obeys", environment) as same:
            assert server is same and server.lives
            pids.append(server._process.pid)
            if number == 1:
                server._process.kill()
                server._process.wait()
    assert pids[0] == pids[1] != pids[2]
    with borrowed("obeys", {**environment, "OMP_NUM_THREADS": "3"}) as other:
        assert other is not None and other._process.pid not in pids
        close_idle()
        assert other.lives, "somebody has it"
    close_idle()
    assert not other.lives


def test_one_server_is_enough_for_all_homes_and_folders_and_an_idle_one_ends_when_another_is_needed(
    environment, tmp_path, monkeypatch
):
    said = "import os, tempfile; print(os.getcwd(), *(os.environ.get(n, '-') for n in NAMES), tempfile.gettempdir())"
    names = ["CXRBENCH_HOME", "CXRBENCH_ANY", "TMPDIR", "HOME"]
    around = {name: value for name, value in environment.items() if name not in names} | {"HOME": "/root"}
    servers = []
    for home, more in (("one", {"CXRBENCH_ANY": "yes"}), ("two", {})):
        (folder := tmp_path / home).mkdir()
        monkeypatch.chdir(folder)
        asked = around | more | {"CXRBENCH_HOME": home, "TMPDIR": str(folder)}
        with borrowed("obeys", asked) as server:
            servers.append(server)
            apart = Apart(["false"], environment={}, fork=lambda mark: server.fork(mark, (), carried(asked)))  # noqa: B023
            apart.give(f"NAMES = {names}; {said}\n", last=False)
            found = apart.wait(SECONDS).output.split()
        assert found == [str(folder), home, more.get("CXRBENCH_ANY", "-"), str(folder), "/root", str(folder)]
    assert servers[0] is servers[1]
    with borrowed("obeys", around | {"HOME": "/elsewhere"}) as other:
        assert other is not servers[0] and not servers[0].lives
    close_idle()


def test_children_run_at_the_same_time_and_one_is_ended_without_the_other(server):
    first, second = (child(server, "import subprocess; subprocess.run(['sleep', '7541'])") for _ in range(2))
    wait_until(lambda: len(below(first.process.pid)) == len(below(second.process.pid)) == 1)
    (of_second,) = below(second.process.pid)
    assert first.wait(0.1).code is None
    assert not gone(second.process.pid) and not gone(of_second)
    assert ended(server, "print('third')").output == "third\n"
    assert not gone(of_second)
    second.end()
    assert gone(of_second)


LEFT, HELD = (f"sleep {seconds}.{os.getpid()}" for seconds in (7542, 7543))
"""Programs that no other run of these tests has."""
DETACHED = f"""import os, signal, subprocess, sys
subprocess.run(["sh", "-c", "exec setsid -f {LEFT}"], {{more}})
"""


@pytest.mark.parametrize("more", ["", "env={'PATH': os.environ['PATH']}"], ids=["marked", "without its mark"])
def test_what_left_its_session_is_ended_with_its_child(server, more):
    assert running(LEFT) == []
    assert ended(server, DETACHED.format(more=more) + "print(len(os.listdir('/proc')) > 0)").output == "True\n"
    assert running(LEFT) == []


# Holds the interpreter: no other thread and no signal handler of Python comes to its turn
HOLDS = f"""import ctypes, os, signal, subprocess
[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
subprocess.run("setsid -f {HELD}".split())
open({{place!r}}, "w").write(str(os.getpid()))
ctypes.PyDLL(None).sleep(7544)"""


@pytest.mark.parametrize("gone_first", ["asker", "server", "server, then asker"])
def test_a_child_ends_with_whoever_asked_and_with_its_server_whatever_it_holds(environment, tmp_path, gone_first):
    place = tmp_path / "pid"
    code = (
        "import os, sys, time\nfrom cxrbench.benchmark.fork_server import ForkServer\n"
        "from cxrbench.benchmark.processes import Apart\n"
        "server = ForkServer('obeys', os.environ)\n"
        "apart = Apart(['false'], environment={}, fork=server.fork)\n"
        f"apart.give({HOLDS.format(place=str(place)).replace(chr(10), ';;') + chr(10)!r}, last=False)\n"
        "print(server._process.pid, flush=True)\napart.wait(7545)"
    )
    asker = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    server = int(asker.stdout.readline())
    wait_until(lambda: place.is_file() and place.read_text() and running(HELD))
    held = int(place.read_text())
    first, *then = {"asker": [asker.pid], "server": [server], "server, then asker": [server, asker.pid]}[gone_first]
    if then:  # at one moment, so that neither can do anything about it
        for pid in (asker.pid, server):
            os.kill(pid, signal.SIGSTOP)
    for pid in (first, *then):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gone(held) and gone(server) and not running(HELD))
    if gone_first == "server":
        assert asker.wait(SECONDS) == 0, "it was told that its child is gone"
    asker.kill()
    asker.wait()
    asker.stdout.close()


def wait_until(said) -> None:
    deadline = time.monotonic() + SECONDS
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def below(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(words: str) -> list[str]:
    found = subprocess.run(["ps", "-ww", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if words in line and not line.startswith("Z")]


def test_only_familiar_packages_are_loaded_before_they_are_needed(monkeypatch):
    """An import of anything else may start threads, or ask a question."""
    import numpy as np

    monkeypatch.setitem(sys.modules, "a_provider_of_somebody", np)
    names = loaded()
    assert "numpy" in names and "cxrbench.benchmark.fork_server" in names
    assert {name.split(".")[0] for name in names} & {"a_provider_of_somebody", "pytest", "json"} == set()
    assert all(name.count(".") < 2 for name in names if name.startswith("numpy"))


def test_code_that_is_changed_between_runs_of_one_process_is_what_runs(tmp_path, monkeypatch):
    """A server loads our modules for the steps of one run alone, and is gone after it."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    close_idle()
    toys = Path(__file__).parents[1] / "toys"
    provider, task = f"{toys / 'toy_providers.py'}:Toy", f"{toys / 'toy_task.py'}:ToyTask"
    prepared = prepare(Request(provider=provider, task=task, device="cpu", arms=("synthetic",)))
    (server,) = fork_server._servers.values()
    assert server.lives and server._loaded == set()
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    assert fork_server._servers == {} and not server.lives
