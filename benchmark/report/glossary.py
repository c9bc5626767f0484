"""The words of a report, explained in a line each: those that the report at hand uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..contracts.task import ArmName
from ..results.rows import Results


@dataclass(frozen=True)
class Word:
    """A word, what it means, and the name (of its place on the page) that links to it end with."""

    name: str
    term: str
    meaning: str


ARMS = {
    ArmName.REAL: "trained on the real films alone",
    ArmName.SYNTHETIC: "trained on the synthetic films alone",
    ArmName.MIXED: "trained on both together, half of every batch real and half synthetic",
    ArmName.FINETUNE: "trained on the synthetic films, then on the real ones as long as REAL is",
}
METRICS = {
    "DSC": "Dice similarity coefficient: twice the overlap of found and true area over the sum of both; 100 % is perfect",
    "J": "Jaccard index: the overlap of found and true area, over the area of both together; 100 % is perfect",
    "Hausdorff": "the largest distance between the found outline and the true one",
    "AUC": "how often the model ranks a film with the finding above one without it; 0.5 is chance",
}


def glossary(results: Results) -> list[Word]:
    """The words of a run's report, in the order in which it uses them."""
    return [*_of_arms(results), *_of_metrics(results), *_of_gain(results), *_of_tests(results), *_of_films(results)]


def _of_arms(results: Results) -> Iterator[Word]:
    named = {arm.value: meaning for arm, meaning in ARMS.items()}
    yield Word("arm", "arm", "what a model is trained on; all arms are tested on the same real films")
    for arm in results.arms:
        if arm in named:
            yield Word(arm, arm.upper(), named[arm])
    yield Word(
        "seed", "seed", "the number that all random choices follow from; another seed is the whole run once more"
    )
    yield Word("training", "training (cell)", "one model, trained on one arm of one size, with one seed, in one fold")


def _of_metrics(results: Results) -> Iterator[Word]:
    for label in dict.fromkeys(metric.label for metric in results.shown_metrics):
        if label in METRICS:
            yield Word(label.lower(), label, METRICS[label])


def _of_gain(results: Results) -> Iterator[Word]:
    if results.gains:
        said = "the score above that of the same training with copies of its real films in place of the synthetic ones"
        yield Word("gain", "gain over copies", f"{said} (the placebo): longer training alone gains nothing")
        yield Word("worth", "worth", "the number of real films whose copies score as much")


def _of_tests(results: Results) -> Iterator[Word]:
    interval = "the range that holds the true value in 95 of 100 such experiments"
    yield Word("interval", "95 % interval", interval)
    p = "how often chance alone makes a difference at least as large as this one"
    yield Word("p", "p", p)
    yield Word("holm", "Holm", "p-values made larger because several are looked at together, by Holm's rule")


def _of_films(results: Results) -> Iterator[Word]:
    if any(row.spaces for row in results.fidelity):
        said = (
            "Fréchet distance: how far synthetic films as a whole lie from real ones in a space of features; 0 is none"
        )
        yield Word("fd", "FD", said)
        yield Word("precision", "precision, density", "how far the synthetic films lie where real films lie")
        yield Word("recall", "recall, coverage", "how much of where real films lie has synthetic films")
    if any("percentile" in row.sentence for row in results.checks):
        said = "nearer to a real film than 99 % of the films that are known to be others; by chance 1 of 100 is"
        yield Word("percentile", "below the 1st percentile", said)
    if any(row.name == "odd films" for row in results.checks):
        yield Word(
            "odd",
            "odd films",
            "films that nobody means to make: one film repeated, films of one grey level, empty masks",
        )
    if any(row.weights not in ("", "none") for row in results.cost):
        said = "what a network, or a loss that looks through one, starts from"
        named = (
            "(paper: ...) is what the paper took; without its file a network starts from scratch, a loss is left out"
        )
        yield Word("weights", "initial weights", f"{said}; {named}")
