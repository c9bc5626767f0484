"""`cxrbench data`: list, import, verify and show datasets.

Nothing heavy is imported until a command runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import cell, table, tell
from ..console_tables import show as show_table
from ..errors import InputError
from .data_summary import larger_presets, print_json, print_summary, summary_of
from .held_back import add_hold_back
from .kept_data import accept, verify
from .kermany import add_kermany
from .options import AllowPartial, DrawnFold, DrawSeed, Force, Json, Originals, Resolution
from .public_sets import add_public_sets

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.reading.mask_kinds import Declared

app = typer.Typer(no_args_is_help=True, help="Datasets: list, import, verify, accept, show.")
importing = typer.Typer(no_args_is_help=True, help="Import a download or any csv of films.")
app.add_typer(importing, name="import")
app.command()(verify)
app.command()(accept)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The datasets that a run can use, with one line each."""
    from ..data.catalogue import list_datasets

    found = list_datasets()
    if as_json:
        print_json([{**vars(entry), "folder": entry.folder and str(entry.folder)} for entry in found])
        return
    headings = ("name", "films", "pixels", "organs", "findings", "about")
    made = table(headings, left=len(headings))
    for entry in found:
        row = (
            entry.name,
            "?" if entry.films is None else str(entry.films),
            "any" if entry.folder is None else str(entry.resolution or "?"),
            ", ".join(entry.organs) or "-",
            ", ".join(entry.findings) or "-",
            entry.about,
        )
        made.add_row(*map(cell, row))
    show_table(made)


@importing.command("jsrt")
def import_jsrt_(
    source: Annotated[Path, typer.Argument(help="Folder or zip with the 247 .IMG files, as downloaded.")],
    scr: Annotated[
        Path | None, typer.Option(help="Folder or zip with SCR's .gif masks; default: below SOURCE.")
    ] = None,
    resolution: Annotated[
        int, typer.Option(help="Pixels a side to keep (16 to 2048); scr_official's preset paper needs 1024.")
    ] = 512,
    name: Annotated[str, typer.Option(help="Name of the dataset.")] = "jsrt_scr",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """The official JSRT films with SCR masks."""
    from ..data.catalogue import check_free
    from ..data.importers.jsrt import import_jsrt
    from .progress_bar import shown_progress

    check_free(name, force=force)
    with shown_progress("import jsrt") as progress:
        dataset = import_jsrt(source, scr, resolution, name=name, progress=progress)
    _keep(dataset, force=force, as_json=as_json)


@importing.command("nih")
def import_nih_(
    source: Annotated[
        Path, typer.Argument(help="Folder with the films (images_*/ or images_*.tar.gz) and the tables, as downloaded.")
    ],
    resolution: Annotated[int, typer.Option(help="Pixels a side to keep (16 to 1024).")] = 256,
    original: Originals = 0,
    allow_partial: AllowPartial = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out empty, truncated and damaged files; they are named.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the dataset.")] = "nih_cxr14",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """The official NIH ChestX-ray14 with its lists, findings and boxes; an interrupted import goes on."""
    from ..data.catalogue import check_free, keep
    from ..data.importers.nih import import_nih
    from .progress_bar import shown_progress

    check_free(name, force=force)
    with (
        shown_progress("import nih") as progress,
        import_nih(
            source, original or resolution, allow_partial=allow_partial, skip_bad=skip_bad, name=name, progress=progress
        ) as found,
    ):
        kept = keep(found.dataset.kept_larger(resolution) if original else found.dataset, force=force)
    skipped = {film: f"{done.place} is {done.fault}" for film, done in found.skipped.items()}
    summary = {**summary_of(kept), "converted": found.converted, "skipped": skipped}
    _print_kept(kept, summary, as_json=as_json)


@importing.command("manifest")
def import_manifest_(
    csv: Annotated[
        Path, typer.Argument(help="A csv with a header, one film a line; or a folder with films/ and masks/ORGAN/.")
    ],
    resolution: Resolution = 256,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: the csv's folder.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that paths are relative to; default: the csv's.")] = None,
    columns: Annotated[
        str, typer.Option(help="Names of the csv's columns where they differ: id=stem,patient=person.")
    ] = "",
    path: Annotated[
        str | None,
        typer.Option(help="Template of the film's path: images/{stem}.png; of a folder its fields are columns."),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            help="Template of the mask: masks/{stem}.png, or one an organ: heart=masks/heart/{stem}.png; {stem} and {name}: "
            "the film's file without and with its ending, or columns called so."
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            help="What masks hold: labels:left_lung=1,right_lung=2,ignore=3, bits:..., colours:heart=#ff0000."
        ),
    ] = None,
    mask_values: Annotated[
        str,
        typer.Option(help="What a mask of all organs holds: labels (a value each) or bits (a bit flag each)."),
    ] = "labels",
    organs: Annotated[str, typer.Option(help="Organs of that mask: left_lung=1,right_lung=2,heart=4.")] = "",
    ignore: Annotated[str, typer.Option(help="Values or bit flags of that mask to leave out: 8,16.")] = "",
    boxes: Annotated[
        Path | None,
        typer.Option(help="A table of boxes in pixels of the original films: id, finding and x,y,w,h or corners."),
    ] = None,
    box_columns: Annotated[
        str, typer.Option(help="Names of its columns where they differ: id=image,finding=class,x_min=left,x_max=right.")
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Take these films alone: view=frontal (also by DICOM headers), View=PA|AP, path:frontal (a regex)."
        ),
    ] = None,
    id_from: Annotated[
        str | None, typer.Option(help="Where the id is: path (with its folders), path:REGEX or COLUMN:REGEX.")
    ] = None,
    patient_from: Annotated[
        str | None,
        typer.Option(help="Where the patient is: COLUMN, path:REGEX, COLUMN:REGEX; id: each film is another person."),
    ] = None,
    uncertain: Annotated[
        str | None,
        typer.Option(help="What a finding of -1 is: zeros, ones, or ignore (film left out); a blank one is then 0."),
    ] = None,
    split_values: Annotated[
        str, typer.Option(help="What words of the column split mean: holdout=test,blank=train; or none.")
    ] = "",
    split: Annotated[
        str | None,
        typer.Option(
            help="Part train and test by patient: patients:0.5 trains on half of them, trained_on:FILE on those of whom a "
            "trained generator has seen a film (its id on a line of the file)."
        ),
    ] = None,
    fold: DrawnFold = None,
    seed: DrawSeed = 0,
    keep: Annotated[str, typer.Option(help="Further columns to take over: view,age.")] = "",
    white: Annotated[
        float | None,
        typer.Option(
            help="Stored value that is white; default 255, or 65535 for 16 bit files; in 8 bit files 255 at most."
        ),
    ] = None,
    pixel_mm: Annotated[
        float | None,
        typer.Option(help="Side of a pixel of the original files in mm, where they do not say it."),
    ] = None,
    original: Annotated[
        int, typer.Option("--originals", help="Also keep larger films of this many pixels, to cut regions from.")
    ] = 0,
    allow_shared_patients: Annotated[
        bool, typer.Option("--allow-shared-patients", help="Accept patients in both train and test (a leak).")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Films of any csv: png, jpeg or DICOM, with masks, findings and boxes.

    Columns: path, and where there are any: id, patient, split, fold, mask or mask_<organ>, finding_<Name> (0
    or 1) or findings (names with | between).
    """
    from ..data.catalogue import check_free
    from ..data.importers.manifest import import_manifest, name_of
    from ..data.importers.manifest_options import ManifestOptions
    from .progress_bar import shown_progress

    name = name or name_of(csv)
    check_free(name, force=force)
    said = _declared(masks, mask_values, organs, ignore)
    options = ManifestOptions(
        root=root,
        columns=_pairs(columns, "--columns"),
        path=path,
        masks=tuple(mask or ()),
        mask_values=said.kind,
        organs=said.organs,
        ignored=said.ignored,
        boxes=boxes,
        box_columns=_pairs(box_columns, "--box-columns"),
        only=tuple(only or ()),
        id_from=id_from,
        patient_from=patient_from,
        uncertain=uncertain,
        split_values=_pairs(split_values, "--split-values"),
        split=split,
        fold=fold,
        seed=seed,
        white=white,
        pixel_mm=pixel_mm,
        keep=_words(keep),
        allow_shared_patients=allow_shared_patients,
    )
    with shown_progress("import manifest") as progress:
        dataset = import_manifest(csv, original or resolution, name=name, options=options, progress=progress)
    _keep(dataset.kept_larger(resolution) if original else dataset, force=force, as_json=as_json)


def _declared(masks: str | None, kind: str, organs: str, ignore: str) -> Declared:
    """What masks hold, by `--masks`, or by the three options that say the same."""
    from ..data.reading.mask_kinds import Declared, parse_declared

    if masks is None:
        values = {organ: _whole(value, "--organs") for organ, value in _pairs(organs, "--organs").items()}
        return Declared(kind, values, [_whole(value, "--ignore") for value in _words(ignore)])
    if organs or ignore:
        raise InputError("give --masks, or --mask-values, --organs and --ignore, not both")
    return parse_declared(masks)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name in the catalogue, or path of a dataset folder.")],
    out: Annotated[Path | None, typer.Option(help="The PNG to write; default: <name>.png here.")] = None,
    count: Annotated[int, typer.Option(help="How many films.")] = 24,
    columns: Annotated[int, typer.Option(help="Films a row.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of the draw of films.")] = 0,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side; default: as the dataset is kept.")] = None,
) -> None:
    """Write a contact sheet: films with the outlines of their masks, and boxes."""
    from ..data.catalogue import find_dataset
    from ..data.contact_sheet import contact_sheet
    from .overview import print_overview
    from .progress_bar import shown_progress

    with shown_progress("show") as progress:
        dataset = find_dataset(name, resolution, progress)
    path = contact_sheet(dataset, out or Path(f"{dataset.info.name}.png"), count, columns, seed)
    print_overview(dataset, remarks=True)
    tell(f"{min(count, len(dataset))} of {len(dataset)} films of {dataset.info.name}: {path}")


def _keep(dataset: Dataset, *, force: bool, as_json: bool) -> None:
    from ..data.catalogue import keep

    kept = keep(dataset, force=force)
    _print_kept(kept, summary_of(kept), as_json=as_json)


def _print_kept(dataset: Dataset, summary: dict[str, Any], *, as_json: bool) -> None:
    """What was imported, and what it was understood as."""
    from .overview import print_overview

    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
        print_overview(dataset)
        for line in larger_presets(dataset):
            tell(f"note: {line}", sys.stderr)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(text: str, option: str) -> dict[str, str]:
    """ "a=b,c=d" as a dictionary."""
    pairs = {}
    for word in _words(text):
        ours, equals, theirs = (part.strip() for part in word.partition("="))
        if not (ours and equals and theirs) or ours in pairs:
            raise InputError(f"{option}: expected name=value pairs with commas between, found {word!r}")
        pairs[ours] = theirs
    return pairs


def _whole(text: str, option: str) -> int:
    if not text.isdecimal():
        raise InputError(f"{option}: expected a whole number, found {text!r}")
    return int(text)


add_kermany(importing, _keep)
add_hold_back(app, _keep)
add_public_sets(importing, _keep, _pairs)
