"""Processes that start at once: a server has the packages loaded that every step needs, and forks a child for each.

A child is as much apart as a process of its own is: its session, its pipes, its mark (`processes.Apart`). A server forks
only while it has one thread, so that no lock is held by a thread that a child does not have; whoever asks starts a process
anew where that does not hold, and on systems other than Linux.

Nothing outlives a step. What a child leaves behind becomes the server's own child, which ends it before it says how the
child has ended. The server waits for the end of whoever asked as well, and ends all children with it; the kernel ends a
child whose server is gone, and the guard, a small process beside the server, what that child has started.
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
import signal
import socket
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

from .large_pages import Pages
from .processes import MARK, be_watched, carried, end_marked, folder_here, has_mark, move

IDLE = 60.0
"""Seconds after which a server without an order ends."""
MOST = 1 << 17
"""Bytes of the longest order."""
KNOWN = ("PIL", "cv2", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "skimage", "sklearn", "torch", "torchvision")
"""Packages that a server may load: others may do anything when they are imported."""
FORKS_WITH_US = ("jemalloc_bg_thd",)
"""Threads by name that are begun anew in a child: those of jemalloc, pyarrow's allocator, which registers for forks."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_Around = tuple[str | None, Mapping[str, str]]
_servers: dict[tuple[Any, ...], ForkServer] = {}
_lock = threading.Lock()
_guards: set[int] = set()
_pages = Pages()


def loaded(since: int = 0) -> set[str]:
    """The modules of this process that a server may load before it forks the next child; `since`: but for the first so many
    of `sys.modules`, which are not even looked at (in a fork, to look at an object is to copy its page)."""
    ours = __name__.split(".")[0]
    fresh = list(islice(reversed(sys.modules), max(0, len(sys.modules) - since)))
    return {
        name
        for name in fresh
        if "._" not in name
        and (name.startswith(f"{ours}.") or (name.split(".")[0] in KNOWN and name.count(".") < 2))
        and getattr(sys.modules.get(name), "__spec__", None) is not None
    }


class Forked:
    """A forked child as `subprocess.Popen` has it: `pid`, the ends of its pipes, `wait`."""

    returncode: int | None
    swept: bool
    """Whether all that it started has ended with it."""

    def __init__(self, pid: int, pipes: tuple[IO[bytes], IO[bytes], IO[bytes]], said: socket.socket) -> None:
        self.pid, self.returncode, self.swept = pid, None, False
        self.stdin: IO[bytes] | None = pipes[0]
        self.stdout: IO[bytes] | None = pipes[1]
        self.stderr: IO[bytes] | None = pipes[2]
        self._said, self._asking = said, threading.Lock()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative where a signal ended it; that of SIGKILL where its server is gone. TimeoutExpired."""
        with self._asking:  # Ctrl-C ends it from another thread than the one that waits
            if self.returncode is None:
                self._said.settimeout(timeout)
                try:
                    told = self._said.recv(MOST)
                except TimeoutError:
                    raise subprocess.TimeoutExpired("a forked child", timeout or 0.0) from None
                except OSError:
                    told = b""
                self.returncode, self.swept = (
                    (int(json.loads(told)["code"]), True) if told else (-signal.SIGKILL, False)
                )
                self._said.close()
            return self.returncode


class ForkServer:
    """A process that has imported `module` and called its `ready`, where it has one, and runs its `main` in a child for
    every order. Orders may come from several threads, and their children run at the same time."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._channel, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._loaded: set[str] = set()
        self._answers = True
        self.users = 0
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, module, str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,
                env={**environment, MARK: f"{os.environ.get(MARK, '')}/{uuid.uuid4().hex}/{'-' * 32}"},
            )

    @property
    def lives(self) -> bool:
        """Whether it takes another order."""
        return self._answers and self._process.poll() is None

    def fork(self, mark: str, load: Collection[str] = (), around: Mapping[str, str] | None = None) -> Forked | None:
        """A child with this mark (32 signs), of a server that has `load` imported, in this folder and with these carried
        variables (`carried`), else with those of the server; None where it cannot be forked."""
        said, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pairs = [os.pipe() for _ in range(3)]
        given = [pairs[0][0], pairs[1][1], pairs[2][1]]
        ours = [pairs[0][1], pairs[1][0], pairs[2][0]]
        fresh = sorted(set(load) - self._loaded)
        place = None if around is None else [folder_here(), dict(around)]
        order = json.dumps({"mark": mark, "load": fresh, "around": place}).encode()
        if len(order) > MOST:
            order = json.dumps({"mark": mark, "load": [], "around": place}).encode()
        try:
            socket.send_fds(self._channel, [order], [*given, theirs.fileno()])
            theirs.close()  # that the end of the server is seen
            answer = said.recv(MOST)
        except OSError:
            answer = b""
        finally:
            theirs.close()
            for end in given:
                os.close(end)
        if not answer:  # its end is seen here before it can be waited for
            self._answers = False
        pid = json.loads(answer or b"{}").get("pid")
        if pid is None:
            said.close()
            for end in ours:
                os.close(end)
            return None
        self._loaded.update(fresh)
        return Forked(pid, (os.fdopen(ours[0], "wb"), os.fdopen(ours[1], "rb"), os.fdopen(ours[2], "rb")), said)

    def close(self) -> None:
        """End it."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def borrowed(module: str, environment: Mapping[str, str]) -> Iterator[ForkServer | None]:
    """The server of a module in these surroundings, but for what is `carried`, shared by all who ask for it; None where
    there can be none. It stays for whoever asks next, until `close_idle` or another is needed."""
    if sys.platform != "linux":
        yield None
        return
    other = carried(environment)
    key = (module, *sorted((name, value) for name, value in environment.items() if name not in other))
    with _lock:
        server = _servers.get(key)
        if server is None or not server.lives:
            for idle in [idle for idle, one in _servers.items() if not one.users or not one.lives]:
                _servers.pop(idle).close()
            server = _servers[key] = ForkServer(module, environment)
        server.users += 1
    try:
        yield server
    finally:
        with _lock:
            server.users -= 1


def close_idle() -> None:
    """End the servers that nobody has borrowed."""
    with _lock:
        for key in [key for key, server in _servers.items() if not server.users]:
            _servers.pop(key).close()


# --------------------------------------------------------------------------------------------------- in the server's process


@dataclass(frozen=True)
class _Child:
    """A child that runs: `watch` is a descriptor that can be read when it has ended, `said` where its end is told."""

    pid: int
    mark: str
    watch: int
    said: socket.socket


def serve(channel: socket.socket, main: Callable[[], None]) -> None:
    """Fork a child for each order until nobody is there, or none has come for a while."""
    children: dict[int, _Child] = {}
    looks = select.poll()
    looks.register(channel, select.POLLIN)
    while (ready := looks.poll(IDLE * 1000)) or children:
        for number, _ in ready:
            if number in children:
                looks.unregister(number)
                _bury(children.pop(number), children.values())
            elif not _take(channel, children, looks, main):
                _end_all(children)
                return
        if not ready:
            _end_left({child.pid for child in children.values()}, None)


def _take(channel: socket.socket, children: dict[int, _Child], looks: select.poll, main: Callable[[], None]) -> bool:
    """Take an order and fork the child that does it, where one can be forked; False where nobody is there any more."""
    try:
        message, ends, _, _ = socket.recv_fds(channel, MOST, 4)
    except OSError:
        message = b""
    if not message:
        return False
    order, said = json.loads(message), socket.socket(fileno=ends.pop())
    new = [name for name in order["load"] if name not in sys.modules]
    for name in new:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if new:
        _share()
    _pages.before_fork()
    mine, pid = os.getpid(), None
    with contextlib.suppress(OSError):  # no memory for another
        pid = os.fork() if _threads() == 1 else None
    if pid == 0:
        for one in (channel, said, *(child.said for child in children.values())):
            one.close()
        for watch in children:
            os.close(watch)
        _be(ends, order["mark"], order["around"], main, below=mine)
    for end in ends:
        os.close(end)
    with contextlib.suppress(OSError):  # nobody is there: the channel will say so
        said.send(json.dumps({"pid": pid}).encode())
    if pid is None:
        said.close()
    else:
        watch = os.pidfd_open(pid)
        children[watch] = _Child(pid, order["mark"], watch, said)
        looks.register(watch, select.POLLIN)
    return True


def _end_all(children: dict[int, _Child]) -> None:
    """Stop all children, their sessions and what has left them."""
    for child in children.values():
        os.kill(child.pid, signal.SIGKILL)  # it may have no session yet
    while children:
        _bury(children.popitem()[1], children.values())


def _bury(child: _Child, others: Collection[_Child]) -> None:
    """Stop what an ended child has left behind, and say how it has ended."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)  # it is not reaped yet: nobody else has its number
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    os.close(child.watch)
    _end_left({other.pid for other in others}, child.mark)
    with contextlib.suppress(OSError), child.said:
        child.said.send(json.dumps({"code": code}).encode())


def _end_left(known: set[int], mark: str | None) -> None:
    """Reap what ended children have left behind and stop what bears a mark, or whatever it is where no child runs. An orphan
    of theirs is a child of this process, and what it has started becomes one when it ends."""
    again = True
    while again:
        again = False
        for pid in _below() - known:
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if not ended and mark is not None and (not known or has_mark(pid, mark)):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                ended, _ = os.waitpid(pid, 0)
            again = again or bool(ended)


def _below() -> set[int]:
    """The children of this process, but for its guard."""
    told = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in told} - _guards


def _share() -> None:
    """What is loaded stays shared with the children."""
    gc.collect()
    gc.freeze()
    _pages.changed()


def _threads() -> int:
    """How many threads this process has that a child would miss."""
    names = (Path("/proc/self/task", one, "comm").read_text().strip() for one in os.listdir("/proc/self/task"))
    return sum(name not in FORKS_WITH_US for name in names)


def _be(ends: list[int], mark: str, around: _Around | None, main: Callable[[], None], *, below: int) -> NoReturn:
    """The child's life: in a session of its own, with these ends of pipes, in this folder and with these variables, as a
    program whose `main` this is, until the server `below` it ends."""
    code = 1
    try:
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != below:
            os._exit(code)
        os.setsid()
        for number, end in enumerate(ends):
            os.dup2(end, number)
            os.close(end)
        _sign(mark)
        if around is not None:
            move(*around)
        be_watched()
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


def _control(what: int, value: int) -> None:
    """prctl(2). OSError where it is refused."""
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {what}")


def _guard() -> None:
    """Begin a process that ends, when this one is gone, all that its children have left."""
    above, _, _ = os.environ[MARK].rpartition("/")
    server = os.pidfd_open(os.getpid())
    if guard := os.fork():
        _guards.add(guard)
        os.close(server)
        return
    try:
        os.setsid()
        for number in (int(name) for name in os.listdir("/proc/self/fd")):
            if number > 2 and number != server:
                with contextlib.suppress(OSError):
                    os.close(number)
        select.select([server], [], [])
        end_marked(above.rpartition("/")[2])
    finally:
        os._exit(0)


def main() -> None:
    """`python -m ... MODULE SOCKET`."""
    _control(PR_SET_CHILD_SUBREAPER, 1)
    _below()  # a kernel that tells no children has no servers
    _guard()
    module = importlib.import_module(sys.argv[1])
    getattr(module, "ready", lambda: None)()
    _share()
    serve(socket.socket(fileno=int(sys.argv[2])), module.main)


if __name__ == "__main__":
    main()
