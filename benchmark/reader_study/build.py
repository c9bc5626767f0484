"""Makes a study: draws the films, writes the blinded page, and keeps the key apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import digest
from ..data.remarks import gathered
from ..errors import InputError
from ..files import new_folder
from ..progress import Progress
from ..runs.own_store import home_store
from ..schema import utc_now
from . import page
from .draw import Drawn, before_crop, draw_rows, plain_png, prepare, shown_side
from .sources import Source, choose_classes, dataset_name, path_source, real_source, store_sources
from .study import KEY, PAGE, REAL, Item, Study, StudySource, rows_bytes, sha256, study_id, write_folder

DRAWING = 0.7  # part of the time that an embedded dataset takes where it is drawn for the first time


@dataclass(frozen=True)
class StudyPlan:
    """What to show. The defaults are the paper's where it says (25 films of a class and source, 224 pixels after
    cropping); how much it crops is not said: 5 % of the side at every edge here.
    """

    providers: tuple[str, ...] = ()
    sources: tuple[tuple[str, Path], ...] = ()
    data: str | None = None
    preset: str | None = None
    classes: tuple[str, ...] = ()
    per_class: int = 25
    seed: int = 0
    resolution: int = 224
    crop: float = 0.05
    only: bool = False
    allow_fewer: bool = False
    asks_finding: bool = False


def build_study(plan: StudyPlan, out: Path, progress: Progress | None = None) -> Study:
    """Write `out/study.html` and `out/key/` (all of it or nothing). InputError says what is missing."""
    progress = progress or Progress()
    _check(plan, out)
    sources, classes = _sources(plan, progress.part("real films", 0.0, DRAWING))
    progress = progress.part("films", DRAWING, 1.0)
    rows, repeats = draw_rows(
        sources, classes, plan.per_class, seed=plan.seed, only=plan.only, allow_fewer=plan.allow_fewer
    )
    side = shown_side(sources, plan.resolution, plan.crop)
    drawn = []
    for number, (source, row, shown_class) in enumerate(rows, 1):
        drawn.append(prepare(source, row, shown_class, side=side, crop=plan.crop))
        progress.update(number / len(rows), f"{number}/{len(rows)}")
    named = name_films(drawn, plan.seed)
    asked = classes if plan.asks_finding else []
    identity = study_id(named, asked, {"seed": plan.seed})
    html = page.render(identity, [(name, plain_png(film.pixels)) for name, film in named.items()], asked)
    items = [_item(name, film) for name, film in named.items()]
    study = Study(
        id=identity,
        created=utc_now(),
        cxrbench=_version(),
        seed=plan.seed,
        per_class=plan.per_class,
        classes=classes,
        sources=[_described(source, drawn) for source in sources],
        films=len(drawn),
        counts=_counts(sources, classes, drawn),
        side=side,
        crop=plan.crop,
        only=plan.only,
        asks_finding=plan.asks_finding,
        repeats=repeats,
        files={PAGE: sha256(html.encode()), "key.csv": sha256(rows_bytes(Item, items))},
    )
    with new_folder(out) as draft:
        (draft / PAGE).write_bytes(html.encode())
        write_folder(draft / KEY, study, rows_bytes(Item, items))
        if out.is_dir():
            out.rmdir()  # it was empty; fails, and nothing is written, where it no longer is
    return study


def name_films(drawn: Sequence[Drawn], seed: int) -> dict[str, Drawn]:
    """The films by the names that readers see, in the order that they see them.

    Name and place follow from the seed and the film's own pixels alone: they say nothing of its source, and the order in
    which sources or classes were drawn cannot be worked out from them.
    """
    named: dict[str, Drawn] = {}
    copies: Counter[str] = Counter()
    for film in drawn:
        pixels = digest.of_array(film.pixels)
        copies[pixels] += 1
        named["f" + digest.of_json([seed, pixels, copies[pixels]])[:10]] = film
    if len(named) != len(drawn):
        raise InputError("two films got the same name by chance; choose another --seed")
    return dict(sorted(named.items()))


def _check(plan: StudyPlan, out: Path) -> None:
    names = [REAL, *plan.providers, *(name for name, _ in plan.sources)]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        taken = "the name of the real films" if twice == REAL else "named twice"
        raise InputError(f"source '{twice}': {taken}; give every source a name of its own (--source NAME=FOLDER)")
    if len(names) == 1:
        raise InputError("no source of synthetic films; give --providers NAME,NAME or --source NAME=FOLDER")
    if plan.per_class < 1:
        raise InputError(f"--per-class {plan.per_class}: expected 1 or more")
    if not 16 <= plan.resolution <= 2048:
        raise InputError(f"--resolution {plan.resolution}: expected 16 to 2048 pixels")
    if not 0 <= plan.crop <= 0.25:
        raise InputError(f"--crop {plan.crop:g}: expected 0 to 0.25 of the side")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} is there already; a study is never overwritten: choose another folder")


def _sources(plan: StudyPlan, progress: Progress) -> tuple[list[Source], list[str]]:
    """The real source, then the synthetic ones in the given order; and the classes."""
    fitted = None if plan.data is None else dataset_name(plan.data)
    made, fitted_on = store_sources(plan.providers, home_store(), data=fitted, preset=plan.preset)
    data = plan.data or _one_dataset(plan.providers, fitted_on)
    real = real_source(data, min([before_crop(plan.resolution, plan.crop), *(one.side for one in made)]), progress)
    classes = choose_classes(plan.classes, real)
    made += [path_source(name, path, classes) for name, path in plan.sources]
    return [real, *made], classes


def _one_dataset(providers: Sequence[str], fitted_on: Sequence[str]) -> str:
    if not fitted_on:
        raise InputError("no real films; give --data NAME (see `cxrbench data list`) or the folder of a dataset")
    if len(set(fitted_on)) > 1:
        said = ", ".join(f"{name} on {data}" for name, data in zip(providers, fitted_on, strict=True))
        raise InputError(f"the providers were fitted on different datasets ({said}); say which with --data")
    return fitted_on[0]


def _item(name: str, film: Drawn) -> Item:
    source = film.source
    return Item(name, source.name, source.kind, film.shown_class, source.ids[film.row], digest.of_array(film.pixels))


def _described(source: Source, drawn: Sequence[Drawn]) -> StudySource:
    return StudySource(
        name=source.name,
        kind=source.kind,
        made_by=source.made_by,
        resolution=source.side,
        films=sum(film.source is source for film in drawn),
        digest=source.digest,
        remarks=list(gathered(source.noticed)),
    )


def _counts(sources: Sequence[Source], classes: Sequence[str], drawn: Sequence[Drawn]) -> dict[str, dict[str, int]]:
    return {
        source.name: {one: sum(film.source is source and film.shown_class == one for film in drawn) for one in classes}
        for source in sources
    }


def _version() -> str:
    from ... import __version__

    return __version__
