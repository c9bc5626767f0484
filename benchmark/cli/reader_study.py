"""`cxrbench reader-study`: can people tell synthetic films from real ones, and which segmentation do they prefer? Build a
blinded page, score the answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import tell
from ..errors import CxrbenchError, InputError, unknown
from .options import Device, Json

if TYPE_CHECKING:
    from ..reader_study.preference import PreferenceStudy
    from ..reader_study.study import Study

REAL, PREFERENCE = "real", "preference"
app = typer.Typer(
    no_args_is_help=True, help="A blinded page for readers, and its score: real or synthetic, target or model?"
)


@app.command("build")
def build(
    out: Annotated[Path, typer.Option(help="New folder for study.html and key/.")],
    kind: Annotated[
        str, typer.Option(help="real: real or synthetic films? preference: the target's segmentation or the model's?")
    ] = REAL,
    providers: Annotated[
        str, typer.Option(help="Providers whose films are in the store from a finished run: pix2pix,pix2pix_n,stargan.")
    ] = "",
    source: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: a dataset folder, or pictures in a sub-folder a class. May be repeated."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The real films: a dataset or its folder; default: what the providers saw.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Only films of runs with this preset.")] = None,
    classes: Annotated[str, typer.Option(help="Comma-separated findings; default: the paper's six, else all.")] = "",
    per_class: Annotated[int, typer.Option(help="Films of every class and source.")] = 25,
    seed: Annotated[int, typer.Option(help="Another seed, other films in another order.")] = 0,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels shown: 224, fewer where a source has fewer; 512 for segmentations.")
    ] = None,
    crop: Annotated[
        float, typer.Option(help="Part of the side cut at every edge, where marks tell the source.")
    ] = 0.05,
    only: Annotated[bool, typer.Option("--only", help="Only films with exactly one finding.")] = False,
    allow_fewer: Annotated[bool, typer.Option("--allow-fewer", help="Take what there is of a class.")] = False,
    ask_finding: Annotated[
        bool, typer.Option("--ask-finding", help="Ask for the finding too; the paper asked real or fake alone.")
    ] = False,
    make: Annotated[
        bool,
        typer.Option(
            "--make",
            help="Fit the providers on --data first, each on its home task; no model is trained on their films.",
        ),
    ] = False,
    device: Device = "auto",
    run: Annotated[Path | None, typer.Option(help="preference: the folder of a finished run.")] = None,
    size: Annotated[str | None, typer.Option(help="preference: its model of this size; default: the first.")] = None,
    arm: Annotated[str | None, typer.Option(help="preference: of this arm; default: finetune, else the last.")] = None,
    fold: Annotated[str | None, typer.Option(help="preference: of this fold; default: the first.")] = None,
    model_seed: Annotated[int | None, typer.Option(help="preference: of this seed; default: the first.")] = None,
    count: Annotated[int, typer.Option(help="preference: how many of the test films with the largest error.")] = 20,
    cases: Annotated[str, typer.Option(help="preference: these test films instead: ID,ID.")] = "",
    as_json: Json = False,
) -> None:
    """Make one blinded page with every film in it, and keep the key apart."""
    from ..reader_study import PreferencePlan, StudyPlan, build_preference, build_study
    from .progress_bar import shown_progress

    if kind not in (REAL, PREFERENCE):
        raise unknown("kind", kind, (REAL, PREFERENCE))
    if kind == PREFERENCE:
        if run is None:
            raise InputError("--kind preference: say which run with --run FOLDER")
        if providers or source or data or preset or classes or only or allow_fewer or ask_finding or make:
            raise InputError(
                "--kind preference: it shows films of --run; the options of sources and classes are for real"
            )
        chosen = PreferencePlan(
            run=run,
            size=size,
            arm=arm,
            fold=fold,
            model_seed=model_seed,
            count=count,
            cases=_names(cases),
            seed=seed,
            resolution=resolution or 512,
        )
        with shown_progress("reader study") as progress:
            preference = build_preference(chosen, out, progress)
        if as_json:
            print(preference.model_dump_json(by_alias=True, indent=1))
        else:
            _tell_preference(preference, out)
        return
    if run is not None:
        raise InputError("--run: belongs to --kind preference; a study of real and synthetic films has --providers")
    resolution = resolution or 224
    named, folders = _names(providers), tuple(_source(text) for text in source or ())
    if make:
        named, folders = (), (*_made(named, data, preset or "quick", device), *folders)
    plan = StudyPlan(
        providers=named,
        sources=folders,
        data=data,
        preset=preset,
        classes=_names(classes),
        per_class=per_class,
        seed=seed,
        resolution=resolution,
        crop=crop,
        only=only,
        allow_fewer=allow_fewer,
        asks_finding=ask_finding,
    )
    with shown_progress("reader study") as progress:
        study = build_study(plan, out, progress)
    if as_json:
        print(study.model_dump_json(by_alias=True, indent=1))
    else:
        _tell(study, out, resolution)


def _made(providers: Sequence[str], data: str | None, preset: str, device: str) -> list[tuple[str, Path]]:
    """(name, folder of films) of each provider, made where the store has none."""
    from ..home import home
    from ..reader_study.make import films_only, folder_of_films
    from ..runs.lock import working
    from ..runs.request import Request
    from .progress_bar import shown_progress
    from .working import say, work

    if data is None:
        raise InputError("--make: say with --data which films the providers are fitted on and shown beside")
    found = []
    with working(home() / "store"):
        for name in providers:
            with shown_progress("preparing films") as progress:
                prepared = films_only(Request(provider=name, data=data, preset=preset, device=device), progress)
            plan = prepared.plan
            say(f"films  {plan.provider.name} on {plan.task.name}: {'to make' if prepared.left else 'in the store'}")
            for outcome in work(prepared):
                raise CxrbenchError(outcome.error)
            found.append((plan.provider.name, folder_of_films(prepared)))
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _source(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name.strip() or not folder.strip():
        raise InputError(f"--source {text}: expected NAME=FOLDER")
    return name.strip(), Path(folder.strip()).expanduser()


def _tell(study: Study, out: Path, resolution: int) -> None:
    from ..reader_study.study import KEY, PAGE, REAL

    page = out / PAGE
    tell(f"study {study.id}: {study.films} films of {study.side} pixels, {len(study.classes)} classes")
    for source in study.sources:
        tell(f"  {source.name}: {source.films} films ({source.made_by})")
    for source in study.sources:
        for line in source.remarks:
            tell(f"note: {source.name}: {line}", sys.stderr)
    tell(f"page  {page} ({page.stat().st_size / 1e6:.1f} MB): give this file to the readers, and nothing else")
    tell(f"key   {out / KEY}: keep it from them")
    tell(f"then  cxrbench reader-study score {out} answers-{study.id}-*.csv")
    coarsest = min(study.sources, key=lambda source: (source.resolution, source.kind == REAL))
    if study.side < resolution:
        tell(
            f"note: {coarsest.name} has {coarsest.resolution} pixels before the crop; all are shown as coarse as that, "
            "so that sharpness tells nothing",
            file=sys.stderr,
        )
    short = [
        f"{name} {one} {count}"
        for name, counts in study.counts.items()
        for one, count in counts.items()
        if count < study.per_class
    ]
    if short:
        tell(f"note: fewer than {study.per_class} films of {', '.join(short)}", sys.stderr)
    if study.repeats:
        tell(
            f"note: {study.repeats} films show (parts of) a real film that another film of the study shows too; "
            "more real films would avoid it",
            file=sys.stderr,
        )


def _tell_preference(study: PreferenceStudy, out: Path) -> None:
    from ..reader_study.study import KEY, PAGE

    page = out / PAGE
    model = " ".join(
        word for word in (study.provider, study.size, study.arm.upper(), f"seed {study.model_seed}") if word
    )
    tell(f"study {study.id}: {study.films} films, {study.chosen} by {study.metric} ({study.task}, {model})")
    tell(f"asked {', '.join(study.organs)}")
    tell(f"page  {page} ({page.stat().st_size / 1e6:.1f} MB): give this file to the readers, and nothing else")
    tell(f"key   {out / KEY}: keep it from them")
    tell(f"then  cxrbench reader-study score {out} answers-{study.id}-*.csv")


@app.command("score")
def score(
    folder: Annotated[Path, typer.Argument(help="The folder that build wrote.")],
    answers: Annotated[list[Path], typer.Argument(help="The csv files that readers exported, one a reader.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as csv and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """The paper's table for every reader; accuracy, sensitivity, exact intervals, agreement of the readers. Of a study of
    preferences: how often each reader preferred the model's segmentation, by organ, and the comments."""
    from ..reader_study import preference_score, score_preference, score_study
    from ..reader_study.score import in_words, table_csv
    from ..reader_study.study import kind_of

    if kind_of(folder) == PREFERENCE:
        preferred = score_preference(folder, answers)
        if as_json:
            print(json.dumps(preferred.model_dump(mode="json"), indent=1))
        else:
            said = preference_score.opinions_csv if as_csv else preference_score.in_words
            print(said(preferred), end="")
        return
    found = score_study(folder, answers)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print(table_csv(found) if as_csv else in_words(found), end="")
