"""Pages that commands write (a run, a fit, an audit): what axe-core says of them in light and in dark, and what is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark.audit.lean import lean_rows
from cxrbench.benchmark.audit.page import audit_page
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.fidelity.audit import Sides, make_audit
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.report.fit_page import Moment, fit_page
from cxrbench.benchmark.report.write import write_run
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.runs.request import Request, execute, prepare

from ..accessible import SCHEMES, cut, violations
from ..browser import needs_browser
from ..toys.toy_films import chests, run_here
from .conftest import maker

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Iterator[Path]:
    """A folder of pages: `toy.html` of a run of a toy, `made.html` of a run with placebos, five seeds and a failure, on a
    phantom; `fit.html`; `audit.html` of films that are conspicuous."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr("cxrbench.benchmark.fidelity.audit.imagenet_space", lambda: None)
        run_here(patch)
        films = chests(40, 60)
        keep(films)
        prepared = prepare(
            Request(
                provider=f"{TOYS / 'toy_trained.py'}:Shows",
                task=f"{TOYS / 'toy_task.py'}:ToyTask",
                data="chests",
                overrides=("task.films=30",),
                device="cpu",
            )
        )
        assert [one.error for one in execute(prepared) if one.error] == []
        results = assemble(prepared.plan, prepared.store, ["cxrbench", "run"])
        told = lean_rows(Harvest(prepared.plan, prepared.store), Progress())
        write_run(folder / "toy", results.model_copy(update={"fidelity": told}), prepared.plan, prepared.store)
        some, rows = films.select(range(60, 90), name="made"), np.arange(30) % 6
        same = replace(some, images=np.asarray(some.images)[rows], masks=np.asarray(some.masks)[rows])
        audit = make_audit(Sides(same, films.select(range(60))), "made for tests")
        assert audit.alarms
        (folder / "audit.html").write_text(audit_page(audit, same, films), encoding="utf-8")
        yield _more(folder)


def _more(folder: Path) -> Path:
    made = maker(folder / "made")(
        seeds=range(5),
        arms=("real", "synthetic", "finetune", "mixed"),
        placebos=("synthetic", "mixed"),
        broken={("tiny", "finetune", 2): "no luck"},
    )
    results = assemble(made.plan, made.store, ["cxrbench", "run"])
    phantom = results.data.model_copy(update={"phantom": True})
    write_run(folder / "made", results.model_copy(update={"data": phantom}), made.plan, made.store)
    shown = [Moment(step, np.full((16, 64), 90, np.uint8), "--keep 5", kept=step == 5) for step in (0, 5)]
    fit = fit_page("A fit", [("task", "toy")], {"films": shown, "dots": shown})
    (folder / "fit.html").write_text(fit, encoding="utf-8")
    return folder


@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["toy/report.html", "made/report.html", "fit.html", "audit.html"])
def test_axe_finds_nothing_wrong_with_names_and_contrast(pages, chromium, page, scheme):
    chromium.open((pages / page).as_uri())
    assert violations(chromium, scheme) == []


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", ["toy/report.html", "made/report.html", "fit.html", "audit.html"])
def test_nothing_is_cut_on_a_phone_or_a_desk_and_what_scrolls_says_so(pages, chromium, page, width):
    chromium.open((pages / page).as_uri())
    assert cut(chromium, width) == []


@needs_browser
def test_a_page_that_is_too_wide_and_a_box_without_a_shade_are_found(chromium, tmp_path):
    page = '<!doctype html><meta name="viewport" content="width=device-width"><div style="overflow: auto">'
    page += '<p style="width: 900px">a</p></div><p style="width: 950px">b</p>'
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    chromium.open((tmp_path / "page.html").as_uri())
    assert len(cut(chromium, 390)) == 2 and cut(chromium, 1280) == []


@needs_browser
def test_axe_does_find_a_name_that_is_missing_and_text_that_is_faint_in_one_scheme_alone(chromium, tmp_path):
    page = """<!doctype html><html lang="en"><head><title>t</title><style>
    body { background: #fff; } @media (prefers-color-scheme: dark) { body { background: #444; } }
    p { color: #555; } .shade { background: linear-gradient(#fff, #fff); overflow: auto }</style></head>
    <body><main><h1>One</h1><details><summary>More</summary><div class="shade"><p>words</p></div>
    <button></button></details></main></body></html>"""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    found = {}
    for scheme in SCHEMES:
        chromium.open((tmp_path / "page.html").as_uri())
        found[scheme] = sorted({line.split()[1] for line in violations(chromium, scheme)})
    assert found == {"light": ["button-name"], "dark": ["button-name", "color-contrast"]}
