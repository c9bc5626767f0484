"""Times of the leaderboard with many entries, by default 1,000: `python -m tests.benchmarks.bench_leaderboard [COUNT]`.

Makes the entries (`tests/leaderboard/thousand.py`, about 1.6 MB each), builds the site without and with what was read
before, looks for what one entry shares with the others, and types into the filter of the longest table in a browser.
Seconds of the processor beside those of the clock: they hold on a busy machine, too. Nothing here passes or fails by a time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cxrbench.leaderboard.checks import duplicates
from cxrbench.leaderboard.entry import load_entry

from .. import browser
from ..leaderboard import thousand

TYPED = "gan_0"
KEY = """((text) => {
  const filter = document.getElementById('filter'), start = performance.now();
  window.held = [];
  window.waits ??= window.setTimeout;
  window.setTimeout = (...said) => window.held.push(said);
  filter.value = text;
  filter.dispatchEvent(new Event('input'));
  document.body.getBoundingClientRect();
  const done = performance.now() - start;
  return [done, document.getElementById('count').textContent];
})"""
"""Types, and holds what the page does by and by: the first screen of rows alone is laid out."""
REST = """(async () => {
  const start = performance.now();
  window.setTimeout = window.waits;
  for (const said of window.held) setTimeout(...said);
  while (document.querySelector('[aria-busy]')) await new Promise((next) => setTimeout(next));
  document.body.getBoundingClientRect();
  return performance.now() - start;
})()"""


def told(what: str, work: Callable[[], object]) -> None:
    """Do it, and print the seconds of the clock and of the processor (children too), and the largest process so far."""
    clock, used = time.perf_counter(), _processor()
    work()
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(
        f"{what:45} {time.perf_counter() - clock:7.1f} s {_processor() - used:7.1f} s of the processor, {most:5.0f} MiB"
    )


def _processor() -> float:
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def build(root: Path, out: Path, home: Path) -> None:
    """The command, in a process of its own."""
    words = ["leaderboard", "build", "--entries", str(root), "--out", str(out)]
    environment = os.environ | {"CXRBENCH_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "cxrbench.benchmark.cli", *words], check=True, env=environment)


def type_into(site: Path) -> None:
    """The filter of the longest page, a letter after the other: milliseconds of the clock and of the page's thread until the
    first screen of rows is laid out, and for the rest."""
    page = max((site / "boards").glob("*.html"), key=lambda path: path.stat().st_size)
    print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB")
    with browser.Browser(timeout=300) as tab:
        tab._call("Performance.enable", timeDomain="threadTicks")
        for width in (1280, 390):
            tab.resize(width, 844, mobile=width < 500)
            before = _thread(tab)
            tab.open(page.as_uri())
            tab.wait_for("!document.querySelector('.tools').hidden", 120)
            print(f"  {width} pixels wide: opened in {_thread(tab) - before:.0f} ms of the thread")
            for text in [*(TYPED[: end + 1] for end in range(len(TYPED))), ""]:
                before = _thread(tab)
                first, words = tab.evaluate(f"{KEY}({text!r})")
                between = _thread(tab)
                rest = tab.evaluate(REST)
                used = f"{between - before:5.0f} and {_thread(tab) - between:5.0f} ms of the thread"
                print(f"    {text!r:10} {first:5.0f} and {rest:5.0f} ms, {used}: {words}")
            tab.screenshot(site.parent / f"board-{width}.png")


def _thread(tab: browser.Browser) -> float:
    found = {one["name"]: one["value"] for one in tab._call("Performance.getMetrics")["metrics"]}
    return 1000 * found["TaskDuration"]


def main(count: int, folder: Path) -> None:
    """Everything, in a folder."""
    root, site, home = folder / "submissions", folder / "site", folder / "home"
    if not root.exists():
        told(f"{count} entries made", lambda: thousand.make(root, count))
    told("built, nothing read before", lambda: build(root, site, home))
    told("built, all as before", lambda: build(root, site, home))
    thousand.add(root, count)
    told("built, one entry more", lambda: build(root, site, home))
    one = load_entry(next(root.glob("*_0007")))
    told("one entry held against the others", lambda: list(duplicates._elsewhere(one)))
    if browser.find_browser():
        type_into(site)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if len(sys.argv) > 2:
        main(number, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(number, Path(scratch))
