"""Processes run apart: with a time limit, with what they print bounded, and without leaving anything behind.

Work in a process of its own is how a run keeps providers apart and how measurements stay clean. The child of `run_apart`
is a module run as a program; it reads one line from standard input and answers with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from .errors import CxrbenchError, ProviderError, one_line

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# glibc hands memory of the size of a batch back to the system at every step of a training and asks for it again, which
# took up to a third of the time of a small network on a processor. Other C libraries ignore these names.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
AS_JOBLIB = {"KMP_INIT_AT_FORK": "FALSE"}
"""What joblib puts into the environment when it is imported: before and after it the surroundings are the same."""
CARRIED = ("CXRBENCH_", "PYTEST_CURRENT_TEST", "TMPDIR", "PWD", "OLDPWD")
"""Beginnings of variables that only Python reads: a child is given those of whoever asks, so that one server is enough."""
MARK = "CXRBENCH_PROCESS"
"""In the environment of a process and of all that it starts, the marks of those above it first: by it they are found."""
TAIL = 16_384
"""Bytes that are kept of what a process prints: its end."""
MOST_ANSWER = 64 << 20
"""Bytes of the longest answer of a module."""
GRACE = 10.0
"""Seconds to read the rest of what an ended process has printed."""
LOOKS = 2.0
"""Seconds between looks whether a process is still there."""
_running: set[Apart] = set()
_watched = threading.Event()


def surroundings(threads: int) -> dict[str, str]:
    """The environment variables of a process that computes with that many threads."""
    return KEEP_MEMORY | AS_JOBLIB | os.environ | dict.fromkeys(THREADS, str(threads))


def carried(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a forked child is given anew (`fork_server`)."""
    return {name: value for name, value in environment.items() if name.startswith(CARRIED) and name != MARK}


def folder_here() -> str | None:
    """The current folder; None where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


def move(folder: str | None, variables: Mapping[str, str]) -> None:
    """Be in a folder, with these carried variables and no others."""
    if folder is not None:
        os.chdir(folder)
    for name in carried(os.environ).keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
    tempfile.tempdir = None  # it may have been asked for where TMPDIR was another


class _Tail:
    """Reads a pipe to its end in a thread of its own and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        self.pipe, self.most, self.parts, self.size = pipe, most, deque[bytes](), 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(self.pipe.fileno(), 65_536):
                self.parts.append(part)
                self.size += len(part)
                while self.size - len(self.parts[0]) >= self.most:
                    self.size -= len(self.parts.popleft())

    def text(self) -> str:
        """The end of what was printed so far."""
        self.thread.join(timeout=GRACE)  # a process that got away may hold the pipe
        return b"".join(self.parts)[-self.most :].decode("utf-8", "replace")


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (None: the time limit was reached), and the ends of what it printed."""

    code: int | None
    output: str
    errors: str


class Started(Protocol):
    """A process that was started with three pipes, as `subprocess.Popen` has it."""

    pid: int
    returncode: int | None
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; subprocess.TimeoutExpired."""


class Apart:
    """A process in a session of its own. `end` stops it and everything that it started, also what has left its session."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        most_output: int = TAIL,
        fork: Callable[[str], Started | None] | None = None,
    ) -> None:
        """`fork` (`fork_server.ForkServer.fork`) gives a child with a mark in place of a new process of the command."""
        self.mark = uuid.uuid4().hex
        self.process: Started = (fork and fork(self.mark)) or subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**environment, MARK: f"{os.environ.get(MARK, '')}/{self.mark}"},
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self._tails = _Tail(self.process.stdout, most_output), _Tail(self.process.stderr, TAIL)
        _running.add(self)

    def give(self, text: str, *, last: bool) -> bool:
        """Write to its standard input; `last` closes it. False where nobody reads."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
            if last:
                self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def wait(self, time_limit: float | None) -> Ended:
        """Wait until it ends or the limit is reached, stop what it has left behind, and say how it ended."""
        try:
            code: int | None = self.process.wait(timeout=time_limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            self.end()
        output, errors = (tail.text() for tail in self._tails)
        return Ended(code, output, errors)

    @property
    def _swept(self) -> bool:
        """Whether a server that forked it has ended with it what it had started."""
        return bool(getattr(self.process, "swept", False))

    def end(self) -> None:
        """Stop it and everything it started."""
        if not self._swept:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                try:
                    os.killpg(self.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    if self.process.returncode is None:  # a forked child that has no session and no mark of its own yet
                        os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if not self._swept:
            end_marked(self.mark)
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        _running.discard(self)


def has_mark(pid: int, mark: str) -> bool:
    """Whether a process has a mark in its environment (Linux; elsewhere nothing tells)."""
    start = f"{MARK}=".encode()
    try:
        told = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(one.startswith(start) and mark.encode() in one for one in told.split(b"\0"))


def end_marked(mark: str) -> None:
    """Stop the processes that have a mark in their environment, but for this one."""
    mine = os.getpid()
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        if pid != mine and has_mark(pid, mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def end_all() -> None:
    """Stop every process that runs apart."""
    for process in list(_running):
        process.end()


def be_watched() -> None:
    """Say that another process ends this one with its parent: a server that forked it."""
    _watched.set()


def end_with_parent() -> None:
    """The child's part: end this process and all it starts when its parent is gone, whatever it does then (code that holds
    the interpreter for hours lets no thread of this process come to its turn). Call it when the order is read.

    Where no server watches it, a second process waits for the end of standard input, which is that of the parent, or of
    this one. Standard input is empty from here on, for code that would read it.
    """
    kept, nothing, mine = os.dup(0), os.open(os.devnull, os.O_RDWR), os.getpid()
    os.dup2(nothing, 0)
    if _watched.is_set() or os.fork():
        os.close(kept)
        os.close(nothing)
        return
    try:
        os.dup2(nothing, 1)  # whoever reads what this process prints waits for its end alone
        os.dup2(nothing, 2)
        while not select.select([kept], [], [], LOOKS)[0] or os.read(kept, 65_536):
            if os.getppid() != mine:
                os._exit(0)
        if mark := os.environ.get(MARK, ""):
            end_marked(mark)
        os.killpg(os.getpgrp(), signal.SIGKILL)
    finally:
        os._exit(0)


def last_line(said: str) -> str:
    """The last line that was printed, fit to be shown."""
    lines = [one for line in said.splitlines() if (one := one_line(line))]
    return lines[-1] if lines else "nothing was said"


def run_apart(module: str, line: str, *, threads: int, time_limit: float, label: str, hint: str) -> dict[str, Any]:
    """What `answer` found in a fresh process with that many threads. ProviderError, which begins with `label`, when it
    fails or takes more than `time_limit` seconds (`hint` says what to do then)."""
    apart = Apart([sys.executable, "-P", "-m", module], environment=surroundings(threads), most_output=MOST_ANSWER)
    apart.give(line, last=True)
    done = apart.wait(time_limit)
    if done.code is None:
        raise ProviderError(f"{label}: took more than {time_limit:.0f} s and was stopped ({hint})")
    if done.code or not done.output.strip():
        raise ProviderError(f"{label}: the process exited with code {done.code}: {last_line(done.errors)}")
    outcome = json.loads(done.output)
    if "error" in outcome:
        raise ProviderError(outcome["error"])
    return dict(outcome["ok"])


def answer(perform: Callable[[str], dict[str, Any]]) -> None:
    """The child's part: give `perform` the line and write what it found; what else is printed goes to standard error."""
    line = sys.stdin.readline()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        outcome: dict[str, Any] = {"ok": perform(line)}
    except CxrbenchError as error:
        outcome = {"error": str(error)}
    with channel:
        channel.write(json.dumps(outcome))
