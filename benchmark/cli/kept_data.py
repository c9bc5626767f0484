"""`cxrbench data verify` and `accept`: is a kept dataset what it was, and may it be what it is now?"""

from __future__ import annotations

from typing import Annotated

import typer

from ..console_tables import tell
from .data_summary import print_json, print_summary, summary_of
from .options import Json


def verify(
    name: Annotated[str, typer.Argument(help="Name in the catalogue, or path of a dataset folder.")],
    as_json: Json = False,
) -> None:
    """Hold every file of a dataset against its sha256, and its splits against the official ones."""
    from ..data.catalogue import find_dataset
    from .progress_bar import shown_progress

    with shown_progress("verify") as progress:
        dataset = find_dataset(name, progress=progress, verify=True)
    summary = summary_of(dataset)
    if as_json:
        print_json({**summary, "ok": True})
        return
    files = len(dataset.info.files)
    typer.echo(f"{dataset.info.name}: {files} files are what dataset.json says (sha256), and so is the content")
    print_summary(summary)


def accept(
    name: Annotated[str, typer.Argument(help="Name in the catalogue, or path of a dataset folder.")],
    as_json: Json = False,
) -> None:
    """Take the files of a dataset as they are now, where they were changed on purpose: under another digest, so that
    results are made anew. Its provenance says which files were changed by hand."""
    from ..data import unchanged
    from ..data.catalogue import dataset_folder
    from ..data.dataset import load_dataset, read_info

    folder = dataset_folder(name)
    before = read_info(folder).digest
    summary_of(load_dataset(folder))  # splits that say to be the official ones are
    dataset, changed = unchanged.accept(folder)
    if as_json:
        print_json({**summary_of(dataset), "changed": changed, "digest_before": before})
    elif changed:
        tell(f"{dataset.info.name}: {', '.join(changed)} accepted; digest {before[:12]} is now {dataset.digest[:12]}")
        print_summary(summary_of(dataset))
    else:
        tell(f"{dataset.info.name}: nothing was changed; digest {dataset.digest[:12]}")
