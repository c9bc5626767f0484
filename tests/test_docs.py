"""The documentation: it builds without a warning or a network, its links lead somewhere, its commands and notebooks run."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

import cxrbench
from cxrbench.benchmark.contracts.task import ArmName
from cxrbench.benchmark.report.glossary import METRICS, glossary

from .conftest import Command
from .doc_commands import Block, blocks, unmarked

TREE = Path(__file__).parents[1]
DOCS = TREE / "docs"
TUTORIALS = [DOCS / "run-file.md", DOCS / "card.md", *sorted((DOCS / "tutorials").glob("*.md"))]
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
SHORT = {"task": {"steps": 6, "check_every": 2, "synthetic": 24}}


class Page(HTMLParser):
    """What a page leads to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built with warnings as errors."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", TREE / "mkdocs.yml", "-d", out]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        assert [src for src in page.loaded if urlsplit(src).netloc] == [], path
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.name}: {link}"


def test_the_site_is_searched_without_a_network_and_has_every_command(site):
    assert (site / "search" / "search_index.js").is_file()
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in ("cxrbench run", "cxrbench init", "cxrbench data import manifest", "cxrbench submission pack"):
        assert f">{name}<" in commands, name
    settings = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    assert "task.synthetic" in settings and "three_stage" in settings
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert "Measure how useful" in python and "claims" in python


def test_the_reference_has_every_public_name_with_its_docstring():
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: (\S+)\n    options:\n      heading: cxrbench\.(\w+)$", text, flags=re.MULTILINE)
    places = {name: path for path, name in shown}
    assert set(places) == set(cxrbench.__all__)
    for name, path in places.items():
        assert path == f"cxrbench.{cxrbench._HOME_OF[name]}.{name}"
        assert inspect.getdoc(getattr(cxrbench, name)), name


def test_links_between_files_of_the_repository_are_there():
    for page in [TREE / "README.md", TREE / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not urlsplit(link).scheme:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_page_of_words_explains_every_word_of_a_report_as_reports_do():
    results = SimpleNamespace(
        arms=list(ArmName),
        shown_metrics=[SimpleNamespace(label=label) for label in METRICS],
        gains=[None],
        fidelity=[SimpleNamespace(spaces=[None])],
        checks=[SimpleNamespace(name="odd films", sentence="below the 1st percentile")],
        cost=[SimpleNamespace(weights="imagenet")],
    )
    page = (DOCS / "words.md").read_text(encoding="utf-8").splitlines()
    lines = [f"| **{word.term}** | {word.meaning} |" for word in glossary(results)]
    assert len(lines) > 20 and [line for line in lines if line not in page] == []


def test_a_tutorial_has_no_command_that_is_not_run():
    assert {page.name: unmarked(page) for page in TUTORIALS if unmarked(page)} == {}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the pages' folders and their common home are."""
    return tmp_path_factory.mktemp("docs")


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_run(page, place, monkeypatch, here):
    monkeypatch.setenv("CXRBENCH_HOME", str(place / "home"))
    with ExitStack() as started:
        for block in blocks(page):
            folder = place / (block.place if block.kind in ("run", "start") else str(Path(block.place).parent))
            folder.mkdir(parents=True, exist_ok=True)
            if block.kind == "file":
                (place / block.place).write_text(block.text, encoding="utf-8")
            elif block.kind == "output":
                assert (place / block.place).read_text(encoding="utf-8") == block.text
            elif block.kind == "start":
                for words in block.commands():
                    started.enter_context(running(words, folder))
            else:
                run(block, folder, here)


def by_python(words: list[str]) -> list[str]:
    """A line of a page as this interpreter runs it, whatever lies on the PATH."""
    start = {"cxrbench": ["-m", "cxrbench.benchmark.cli"], "dask": ["-m", "dask"], "python": []}
    return [sys.executable, *start[words[0]], *words[1:]]


@contextmanager
def running(words: list[str], folder: Path) -> Iterator[None]:
    """A program that runs beside the page, and is ended with all that it started."""
    with (folder / "started.log").open("ab") as log:
        one = subprocess.Popen(by_python(words), cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
        assert one.poll() is None, (folder / "started.log").read_text(encoding="utf-8")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait(30)


TRAIN = ("run", "curve")
"""Commands whose steps have processes of their own: they are called in this one (`here`)."""


def run(block: Block, folder: Path, here: Command) -> None:
    """The lines of a block, one after the other."""
    if (name := block.options.get("needs")) and not (folder / name).exists():
        (folder / name).symlink_to(TREE / name)
    for words in block.commands():
        if words[0] == "cxrbench" and words[1] in TRAIN:
            done = here(*words[1:], cwd=folder)
        else:
            done = subprocess.run(
                by_python(words), cwd=folder, capture_output=True, text=True, check=False, timeout=1800
            )
        assert done.returncode == int(block.options.get("rc", 0)), f"{words}: {done.stdout}{done.stderr}"


def cells(path: Path) -> Iterator[dict]:
    yield from json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path):
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, place, monkeypatch):
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("CXRBENCH_HOME", str(place / "home"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\nseeds, sizes, settings = 1, ['tiny'], {SHORT!r}"
    folder = place / path.stem
    folder.mkdir(exist_ok=True)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    kinds = {kind for out in shown for kind in out.get("data", {})}
    assert "text/html" in kinds and any("REAL" in str(out.get("data", {}).get("text/html", "")) for out in shown)
    if path.stem == "main-job":
        assert "image/png" in kinds and any("<iframe" in str(out.get("data", {})) for out in shown)
