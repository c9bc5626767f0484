"""A headless browser for tests of pages: Chromium through the DevTools protocol, with the standard library alone.

Commands go through `--remote-debugging-pipe`: NUL-separated JSON on the browser's file descriptors 3 and 4, so that no port
is opened and no websocket is needed. Every page has its messages of errors and its requests recorded from the first byte.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
ABOVE_PIPE = 10  # descriptors are kept above 3 and 4, which the browser expects the pipe at
# dup2 in a fresh interpreter, not in a fork of a process with threads
EXEC = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
LEFT = {
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
}
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Backspace": 8,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    " ": 32,
}


def find_browser() -> str | None:
    """The path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")


class BrowserError(Exception):
    """The browser ended, did not answer in time, or refused a command; or a script of the page threw."""


class PageLeft(BrowserError):
    """The page was left for another while a script ran on it."""


class Browser:
    """One browser with a profile of its own and one tab. Use it in a `with` block.

    `errors`: exceptions, messages of the console and refused content of all pages so far. `requests`: all addresses asked
    for, those of the page itself and of data URIs included. `downloads`: the folder that downloads go to.
    """

    def __init__(self, *, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._folder = Path(tempfile.mkdtemp(prefix="browser-"))
        self.downloads = self._folder / "downloads"
        self._numbers, self._buffer, self._events = 0, b"", list[dict[str, Any]]()
        self._session: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        path = find_browser()
        if path is None:
            raise BrowserError("no Chromium is installed")
        try:
            self._start(path)
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self._call(f"{domain}.enable")
            self._call("Emulation.setFocusEmulationEnabled", enabled=True)
            self.downloads.mkdir()
            self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------------- pages

    def open(self, url: str) -> None:
        """Go to an address (or `Path.as_uri()`) and wait until it has loaded."""
        self._loading("Page.navigate", url=url)

    def reload(self) -> None:
        """Load the page again; what it keeps in the browser stays."""
        self._loading("Page.reload")

    def evaluate(self, script: str) -> Any:
        """The value of a script's last expression (JSON values; promises are awaited). BrowserError when it throws."""
        result = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserError(_thrown(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait_for(self, script: str, seconds: float = 10.0) -> Any:
        """The value of a script as soon as it is true, on this page or on the next one when the browser is on its way
        there. BrowserError when it is not in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(PageLeft):
                if value := self.evaluate(script):
                    return value
            time.sleep(0.02)
        raise BrowserError(f"not true within {seconds:g} s: {script}")

    def text(self, selector: str) -> str:
        """The text of the first element of a CSS selector, as a person sees it."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def press(self, *keys: str, held: bool = False) -> None:
        """Press and release keys, by their name ('ArrowLeft', 'Enter') or character. `held`: as a repetition."""
        for key in keys:
            printable = len(key) == 1
            code = KEYS.get(key, ord(key.upper()) if printable else 0)
            down = {"key": key, "windowsVirtualKeyCode": code, "autoRepeat": held}
            if printable or key == "Enter":
                down |= {"type": "keyDown", "text": "\r" if key == "Enter" else key}
            else:
                down |= {"type": "rawKeyDown"}
            self._call("Input.dispatchKeyEvent", **down)
            self._call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def click(self, selector: str) -> None:
        """Click the middle of the first element of a CSS selector with the mouse, scrolled into view."""
        x, y = self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def resize(self, width: int, height: int, *, mobile: bool = False, scale: float = 1.0) -> None:
        """The size of the window in CSS pixels; `mobile`: as a phone lays pages out."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, *, whole_page: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def downloaded(self, name: str, seconds: float = 10.0) -> Path:
        """A finished download by name. BrowserError when it does not come."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (self.downloads / name).is_file():
                return self.downloads / name
            self.evaluate("0")  # lets events through
            time.sleep(0.02)
        raise BrowserError(f"no download {name}; there are {sorted(path.name for path in self.downloads.iterdir())}")

    # ------------------------------------------------------------------------------------------------- protocol

    def _start(self, path: str) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        theirs = [fcntl.fcntl(one, fcntl.F_DUPFD, ABOVE_PIPE) for one in (theirs_in, theirs_out)]
        self._log = (self._folder / "browser.log").open("wb")
        command = [path, *FLAGS, f"--user-data-dir={self._folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", EXEC, *map(str, theirs), *command],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        for one in (theirs_in, theirs_out, *theirs):
            os.close(one)
        self._out, self._in = ours_out, ours_in

    def close(self) -> None:
        """End the browser and all its processes, and remove its profile."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(self._out)
            os.close(self._in)
            self._log.close()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _loading(self, method: str, **parameters: Any) -> None:
        self._events.clear()
        result = self._call(method, **parameters)
        if result.get("errorText"):
            raise BrowserError(f"{parameters.get('url')}: {result['errorText']}")
        until = time.monotonic() + self.timeout
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._note(self._receive(until))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._numbers += 1
        message: dict[str, Any] = {"id": self._numbers, "method": method, "params": parameters}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        try:
            self._write(json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise BrowserError(self._last_words()) from None
        until = time.monotonic() + self.timeout
        while True:
            answer = self._receive(until)
            if answer.get("id") == self._numbers:
                if "error" in answer:
                    reason = answer["error"]["message"]
                    raise (PageLeft if reason in LEFT else BrowserError)(f"{method}: {reason}")
                return answer["result"]
            self._note(answer)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
                raise BrowserError(f"no answer within {self.timeout:g} s")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise BrowserError(self._last_words())
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _last_words(self) -> str:
        log = (self._folder / "browser.log").read_text(errors="replace").strip().splitlines()
        return f"the browser ended: {' / '.join(log[-3:])}"

    def _note(self, event: dict[str, Any]) -> None:
        method, values = event.get("method", ""), event.get("params", {})
        self._events.append(event)
        if method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_thrown(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(values["entry"]["text"])


def _thrown(details: dict[str, Any]) -> str:
    return details.get("exception", {}).get("description") or details["text"]
