"""Processes that start at once: a server has the packages loaded that every step needs, and forks a child for each.

A child is as much apart as a process of its own is: its session, its pipes, its mark (`processes.Apart`). A server forks
only while it has one thread, so that no lock is held by a thread that a child does not have; whoever asks starts a process
anew where that does not hold, and on systems other than Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import select
import socket
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from .processes import MARK

IDLE = 60.0
"""Seconds after which a server without an order ends."""
MOST = 1 << 17
"""Bytes of the longest order."""
FAMILIAR = (
    "numpy",
    "pandas",
    "scipy",
    "torch",
    "torchvision",
    "pydantic",
    "cv2",
    "PIL",
    "pyarrow",
    "skimage",
    "sklearn",
)
"""Packages that a server may load: others may do anything when they are imported."""
FORKS_WITH_US = ("jemalloc_bg_thd",)
"""Threads by name that are begun anew in a child: those of jemalloc, pyarrow's allocator, which registers for forks."""
_idle: dict[tuple[Any, ...], list[ForkServer]] = {}
_lock = threading.Lock()


def loaded() -> set[str]:
    """The modules of this process that a server may load before it forks the next child."""
    ours = __name__.split(".")[0]
    return {
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__spec__", None) is not None
        and "._" not in name
        and (name.startswith(f"{ours}.") or (name.split(".")[0] in FAMILIAR and name.count(".") < 2))
    }


class Forked:
    """A forked child as `subprocess.Popen` has it: `pid`, the ends of its pipes, `wait`."""

    def __init__(self, pid: int, pipes: tuple[IO[bytes], IO[bytes], IO[bytes]], channel: socket.socket) -> None:
        self.pid, self.returncode = pid, None
        self.stdin: IO[bytes] | None = pipes[0]
        self.stdout: IO[bytes] | None = pipes[1]
        self.stderr: IO[bytes] | None = pipes[2]
        self._channel, self._asking = channel, threading.Lock()

    returncode: int | None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative where a signal ended it; that of SIGKILL where its server is gone. TimeoutExpired."""
        with self._asking:  # Ctrl-C ends it from another thread than the one that waits
            if self.returncode is None:
                self._channel.settimeout(timeout)
                try:
                    self.returncode = int(json.loads(self._channel.recv(MOST) or b'{"code": -9}')["code"])
                except TimeoutError:
                    raise subprocess.TimeoutExpired("a forked child", timeout or 0.0) from None
                except OSError:
                    self.returncode = -9
            return self.returncode


class ForkServer:
    """A process that has imported `module` and called its `ready`, where it has one, and runs its `main` in a child for
    every order."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._channel, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, module, str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,
                env={**environment, MARK: f"{os.environ.get(MARK, '')}/{uuid.uuid4().hex}"},
            )

    @property
    def lives(self) -> bool:
        """Whether it takes another order."""
        return self._process.poll() is None

    def fork(self, mark: str, load: Collection[str] = ()) -> Forked | None:
        """A child with this mark, of a server that has `load` imported; None where it cannot be forked."""
        pairs = [os.pipe() for _ in range(3)]
        theirs = [pairs[0][0], pairs[1][1], pairs[2][1]]
        ours = [pairs[0][1], pairs[1][0], pairs[2][0]]
        order = json.dumps({"mark": mark, "load": sorted(load)}).encode()
        if len(order) > MOST:
            order = json.dumps({"mark": mark, "load": []}).encode()
        try:
            self._channel.settimeout(None)
            socket.send_fds(self._channel, [order], theirs)
            pid = json.loads(self._channel.recv(MOST) or b"{}").get("pid")
        except OSError:
            pid = None
        finally:
            for end in theirs:
                os.close(end)
        if pid is None:
            for end in ours:
                os.close(end)
            return None
        pipes = (os.fdopen(ours[0], "wb"), os.fdopen(ours[1], "rb"), os.fdopen(ours[2], "rb"))
        return Forked(pid, pipes, self._channel)

    def close(self) -> None:
        """End it."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def borrowed(module: str, environment: Mapping[str, str]) -> Iterator[ForkServer | None]:
    """A server for one order at a time, one that is idle or a new one; None where there can be none."""
    if sys.platform != "linux":
        yield None
        return
    key = (module, *sorted(environment.items()))
    with _lock:
        free = _idle.get(key, [])
        while free and not free[-1].lives:
            free.pop().close()
        server = free.pop() if free else None
    server = server or ForkServer(module, environment)
    try:
        yield server
    finally:
        with _lock:
            _idle.setdefault(key, []).append(server)


def close_idle() -> None:
    """End the servers that have no order."""
    with _lock:
        servers = [server for free in _idle.values() for server in free]
        _idle.clear()
    for server in servers:
        server.close()


# --------------------------------------------------------------------------------------------------- in the server's process


def serve(channel: socket.socket, main: Callable[[], None]) -> None:
    """Fork a child for each order until nobody is there, or none has come for a while."""
    while select.select([channel], [], [], IDLE)[0]:
        message, ends, _, _ = socket.recv_fds(channel, MOST, 3)
        if not message:
            return
        order = json.loads(message)
        new = [name for name in order["load"] if name not in sys.modules]
        for name in new:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        if new:
            _share()
        pid = os.fork() if _threads() == 1 else None
        if pid == 0:
            channel.close()
            _be(ends, order["mark"], main)
        for end in ends:
            os.close(end)
        channel.send(json.dumps({"pid": pid}).encode())
        if pid is not None:
            channel.send(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}).encode())


def _share() -> None:
    """What is loaded stays shared with the children."""
    gc.collect()
    gc.freeze()


def _threads() -> int:
    """How many threads this process has that a child would miss."""
    names = (Path("/proc/self/task", one, "comm").read_text().strip() for one in os.listdir("/proc/self/task"))
    return sum(name not in FORKS_WITH_US for name in names)


def _be(ends: list[int], mark: str, main: Callable[[], None]) -> NoReturn:
    """The child's life: in a session of its own, with these ends of pipes, as a program whose `main` this is."""
    code = 1
    try:
        os.setsid()
        for number, end in enumerate(ends):
            os.dup2(end, number)
            os.close(end)
        _sign(mark)
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _sign(mark: str) -> None:
    """Put the mark in place of the server's, which is as long, also where others read it: a process shows to them the
    environment that it began with."""
    above, _, _ = os.environ[MARK].rpartition("/")
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_void_p
    if place := get(MARK.encode()):
        ctypes.memmove(place + len(above) + 1, mark.encode(), len(mark))
    os.environ[MARK] = f"{above}/{mark}"


def main() -> None:
    """`python -m ... MODULE SOCKET`."""
    module = importlib.import_module(sys.argv[1])
    getattr(module, "ready", lambda: None)()
    _share()
    serve(socket.socket(fileno=int(sys.argv[2])), module.main)


if __name__ == "__main__":
    main()
