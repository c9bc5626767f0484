"""A set of synthetic films as Croissant 1.0 (MLCommons 2024) with the fields of its vocabulary RAI 1.0, as JSON-LD.

The films lie in one archive, whose sha256 stands in the metadata: pictures and masks are its file sets, tables files in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..report.gain_words import without_command
from ..report.words import protocol_words
from .rows import Card, cost_lines

FILE = "croissant.json"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification gives."""


@dataclass(frozen=True)
class Sharing:
    """What only who shares the films can say: the licence (a name or address), who made them, where they will lie, and how
    the set is called (default: the generator and the real films)."""

    licence: str
    creator: str
    url: str
    name: str = ""


@dataclass(frozen=True)
class Packed:
    """What the archive holds: its sha256 and bytes, the sha256 of its tables by name, organs with masks, findings."""

    sha256: str
    size: int
    tables: dict[str, str]
    organs: Sequence[str]
    findings: Sequence[str]

    @property
    def archive(self) -> str:
        """The name of its file, no two sets the same: readers keep what they have unpacked by this name."""
        return f"films-{self.sha256[:12]}.zip"


def croissant(card: Card, packed: Packed, sharing: Sharing) -> dict[str, Any]:
    """The metadata as a JSON object."""
    count = 0 if card.films is None else card.films.count
    name = sharing.name or f"{card.provider.name} films of {card.data.name}"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name,
        "description": f"{count:,} synthetic chest X-rays made by {card.provider.title}, a generator that was fitted on "
        f"real films of {card.data.name}. {' '.join(f'{line}.' for line in card.claims[:1])}",
        "license": sharing.licence,
        "url": sharing.url,
        "creator": {"@type": "sc:Organization", "name": sharing.creator},
        "citeAs": f"{sharing.creator} ({card.created[:4]}): {name}. {sharing.url}",
        "datePublished": card.created[:10],
        "version": "1.0.0",
        "keywords": ["chest X-ray", "synthetic", card.provider.name],
        "isLiveDataset": False,
        "distribution": _files(packed),
        "recordSet": _records(packed),
        **_responsible(card),
    }


def _files(packed: Packed) -> list[dict[str, Any]]:
    archive = {
        "@type": "cr:FileObject",
        "@id": packed.archive,
        "name": packed.archive,
        "description": "All films, masks and tables.",
        "contentUrl": packed.archive,
        "contentSize": f"{packed.size} B",
        "encodingFormat": "application/zip",
        "sha256": packed.sha256,
    }
    sets = [("images", "images/*.png", "Films, 8 bits of grey.")]
    sets += [(_masks(organ), f"masks/{organ}/*.png", f"Masks of {organ}, 0 or 255.") for organ in packed.organs]
    found: list[dict[str, Any]] = [archive]
    for name, glob, about in sets:
        part = {"@type": "cr:FileSet", "@id": name, "name": name, "description": about}
        found.append(part | {"containedIn": {"@id": packed.archive}, "encodingFormat": "image/png", "includes": glob})
    for name, sha in packed.tables.items():
        table = {"@type": "cr:FileObject", "@id": name, "name": name, "containedIn": {"@id": packed.archive}}
        found.append(table | {"contentUrl": name, "encodingFormat": "text/csv", "sha256": sha})
    return found


def _masks(organ: str) -> str:
    return f"masks_{organ}"


def _records(packed: Packed) -> list[dict[str, Any]]:
    """The films with their labels; pictures, masks and boxes as records of their own, which name the film."""
    films = [_column("films", "id", "The name of the film.", "sc:Text", "films.csv")]
    films += [_column("films", name, f"1: shows {name}.", "sc:Integer", "films.csv") for name in packed.findings]
    found = [_record_set("films", "The films and their labels.", "films/id", films)]
    found.append(_record_set("pictures", "The films as pictures.", "", _pictures("pictures", "images")))
    for organ in packed.organs:
        name = f"shown_{organ}"
        found.append(_record_set(name, f"Where a film shows {organ}.", "", _pictures(name, _masks(organ))))
    if "boxes.csv" in packed.tables:
        kinds = {"id": "sc:Text", "finding": "sc:Text"} | dict.fromkeys(("x", "y", "w", "h"), "sc:Float")
        fields = [_column("boxes", name, f"Column {name}.", kind, "boxes.csv") for name, kind in kinds.items()]
        fields[0] |= OF_FILM
        found.append(_record_set("boxes", "Boxes of findings, in pixels of the film.", "", fields))
    return found


OF_FILM = {"references": {"field": {"@id": "films/id"}}}
"""Of a field that holds the name of a film."""


def _record_set(name: str, about: str, key: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    found = {"@type": "cr:RecordSet", "@id": name, "name": name, "description": about}
    return found | ({"key": {"@id": key}} if key else {}) | {"field": fields}


def _column(where: str, name: str, about: str, kind: str, table: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": table}, "extract": {"column": name}}
    return _field(where, name, about, kind) | {"source": source}


NAME_OF_FILE = r"([^/]+?)(?:\.png)?$"
"""The name of a film from that of its file; of the name it is the name again, for readers that ask twice."""


def _pictures(where: str, files: str) -> list[dict[str, Any]]:
    """The film that a file of a set is called by, and what the file shows."""
    name = {"fileSet": {"@id": files}, "extract": {"fileProperty": "filename"}, "transform": {"regex": NAME_OF_FILE}}
    content = {"fileSet": {"@id": files}, "extract": {"fileProperty": "content"}}
    return [
        _field(where, "film", "The name of the film.", "sc:Text") | {"source": name} | OF_FILM,
        _field(where, "picture", "8 bits of grey.", "sc:ImageObject") | {"source": content},
    ]


def _field(where: str, name: str, about: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"{where}/{name}", "name": name, "description": about, "dataType": kind}


def _responsible(card: Card) -> dict[str, Any]:
    """The fields of RAI that a run can fill: what it does not know stays unsaid."""
    data, task = card.data, card.task
    size = next((one for one in card.sizes if card.films is not None and one.size == card.films.size), card.sizes[0])
    marked = [name for name, there in (("masks", data.organs), ("labels", data.findings)) if there]
    source = {
        "native": f"made by the generator together with the films ({' and '.join(marked) or 'none'})",
        "teacher": "given by a model that was trained on real films",
        "per_class": "one generator was fitted for every finding",
    }
    limits = [*card.cautions, *([] if card.audit is None else [f"conspicuous: {line}" for line in card.audit.alarms])]
    return {
        "rai:dataCollection": f"Sampled from {card.provider.title} (code {card.provider.code[:16]}), fitted on "
        f"{size.films} real films of {data.name} ({data.provenance}) by the protocol {task.name} v{task.version} "
        f"at {card.preset}. {'; '.join(cost_lines(card))}.",
        "rai:dataCollectionType": ["Others"],
        "rai:dataAnnotationProtocol": f"Annotations: {source.get(card.provider.label_by, card.provider.label_by)}.",
        "rai:dataUseCases": [
            f"Training for {protocol_words(task, card.data)}, beside real films.",
            *map(without_command, card.claims),
        ],
        "rai:dataLimitations": limits or ["None were found by the run and its audit."],
        "rai:personalSensitiveInformation": _privacy(card),
    }


def _privacy(card: Card) -> list[str]:
    said = ["Synthetic films of no person; the generator has learnt from films of persons."]
    if card.data.phantom:
        said = ["Synthetic films; the generator has learnt from procedural films, of no person."]
    if card.films is not None and card.films.of_real_pixels:
        said.append(f"{card.films.of_real_pixels} of {card.films.count} films show pixels of the films learnt from.")
    if card.audit is not None and card.audit.copies is not None:
        said.append(f"Copies of training films: {card.audit.copies.sentence}.")
    else:
        said.append("Copies of training films were not sought with known power.")
    return said + [f"{name}: {sentence}." for name, sentence, _ in card.checks if name.startswith("nearest")]
