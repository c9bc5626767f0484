"""What axe-core finds wrong with a page: names that nothing reads aloud, text that cannot be read off its ground.

The script of axe-core comes with the test extra (`axe-playwright-python` carries it); it is put into the page of the
headless browser, so that neither a network nor a second browser is needed.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from .browser import Browser

SCHEMES = ("light", "dark")
WIDE = 4000  # pixels: every table is whole in such a window
LAID_OUT = """for (const one of document.querySelectorAll('details')) one.open = true;
for (const one of document.querySelectorAll('body, main')) one.style.maxWidth = 'none';
for (const one of document.querySelectorAll('*'))
  if (getComputedStyle(one).backgroundImage.includes('gradient')) one.style.backgroundImage = 'none';"""
"""Opens what is folded. axe-core leaves open what the contrast is of text that a scrolling box hides or that has a shade of
colours behind it: so nothing scrolls, and the shade at the side of a table is gone."""
RUN = "axe.run(document, {preload: false, resultTypes: ['violations']}).then(found => JSON.stringify(found.violations))"
"""A script may not read the style sheets of a file, hence no preload; what is drawn can be asked for all the same."""


@cache
def script() -> str:
    """axe-core as text."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(tab: Browser, scheme: str = "light", width: int = WIDE) -> list[str]:
    """A line for every element of the open page that breaks a rule of axe-core: the impact, the rule, the element and why.
    `scheme`: `light` or `dark`; `width`: of the window, by default one that holds every table. Afterwards the window is as
    wide and light, and the page another."""
    tab.resize(width, 1200, mobile=width < 500)
    tab.prefer(scheme)
    try:
        tab.evaluate(LAID_OUT)
        tab.evaluate(f"{script()}; 0")
        found: list[dict[str, Any]] = json.loads(tab.evaluate(RUN))
    finally:
        tab.prefer("light")
    return [_line(rule, node) for rule in found for node in rule["nodes"]]


def _line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    why = " ".join(node["failureSummary"].split())
    return f"{rule['impact']} {rule['id']} at {' '.join(map(str, node['target']))}: {why} ({node['html'][:160]})"


CUT = """(() => { const wide = document.documentElement.clientWidth, found = [];
if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
for (const one of document.querySelectorAll('body *')) {
  const style = getComputedStyle(one);
  if (['auto', 'scroll'].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1
      && !style.backgroundImage.includes('gradient')) found.push(`no hint that ${one.tagName} ${one.className} goes on`);
}
return JSON.stringify(found); })()"""


def cut(tab: Browser, width: int) -> list[str]:
    """What of the open page is cut in a window of so many pixels: the page itself at the side, and every box that scrolls
    sideways without a shade where it goes on. After `violations`, which lays a page out
    anew, it says nothing."""
    tab.resize(width, 900, mobile=width < 500)
    return json.loads(tab.evaluate(CUT))
