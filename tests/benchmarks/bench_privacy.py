"""False alarms and power of the tests of memorisation: 200 simulated clean generators, and planted copies.

    python tests/benchmarks/bench_privacy.py [--data DATASET] [--generators 200] [--steps 200] [--division 199]

A clean generator's films are real films of patients that nothing was learnt from: the patients of a dataset are divided
anew each time in those that were learnt from (half), those held out and those audited (a quarter each; one film a patient
of these two). The network that knows patients again is trained on a fifth of the patients, who take no other part, for so
many steps. Prints Markdown: how many of the generators each test alarms on, with the nominal share and the largest number
that 95 % of such series stay below, and how often it sees planted copies of every kind (in the last
division; `--generators 0 --division 199`: this alone).
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from scipy import stats

from cxrbench.benchmark.data.catalogue import find_dataset, is_drawn
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.fidelity import memorisation, privacy
from cxrbench.benchmark.fidelity.memorisation import LEVEL as COPIES_LEVEL
from cxrbench.benchmark.fidelity.memorisation import memorised
from cxrbench.benchmark.fidelity.planted import Planted, planted_told, power_sentence
from cxrbench.benchmark.fidelity.privacy import LEVEL, Patients, copying, membership, patients_shown, pixels
from cxrbench.benchmark.fidelity.reidentify import ReidentifySettings, fit_patients, patient_vectors
from cxrbench.benchmark.progress import Progress

SIDE = 64
TESTS = {"copies": COPIES_LEVEL, "C_T": LEVEL, "re-identification": LEVEL, "membership": LEVEL}


class Pool:
    """Films with what every test looks at, taken once: the vectors of a film do not depend on the division."""

    def __init__(self, films: Dataset, vectors: privacy.Vectors) -> None:
        self.images = np.asarray(films.images)
        self.patients = films.cases["patient"].astype(str).to_numpy()
        cut = memorisation.cropped(self.images)
        self.said = {"plain": vectors(self.images), "cut": vectors(cut), "turned": vectors(self.images[:, :, ::-1])}

    def divided(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of films that were learnt from, that are held out and that are audited."""
        names = np.random.default_rng(seed).permutation(np.unique(self.patients))
        half, quarter = len(names) // 2, len(names) // 4
        parts = names[:half], names[half : half + quarter], names[half + quarter :]
        learnt, held, audited = (np.flatnonzero(np.isin(self.patients, part)) for part in parts)
        return learnt, *(rows[np.unique(self.patients[rows], return_index=True)[1]] for rows in (held, audited))


def alarms(pool: Pool, seed: int) -> dict[str, bool]:
    """Which tests alarm on one clean generator."""
    learnt, held, audited = pool.divided(seed)
    made, known, real = (pixels(pool.images[rows]) for rows in (audited, learnt, held))
    whose = np.unique(pool.patients[learnt], return_inverse=True)[1]
    first = np.unique(whose, return_index=True)[1]
    training = Patients((pool.said["plain"][learnt], pool.said["cut"][learnt]), whose)
    images = pool.images[held], pool.images[audited]

    def vectors(films: np.ndarray) -> np.ndarray:
        rows, shown = found[len(films), films.tobytes()]
        return pool.said[shown][rows]

    found = {
        (len(rows), np.ascontiguousarray(some).tobytes()): (rows, shown)
        for rows, block in zip((held, audited), images, strict=True)
        for shown, some in (("plain", block), ("turned", block[:, :, ::-1]))
    }
    return {
        "copies": memorised(images[1], pool.images[learnt], images[0], planted=0).copies > 0,
        "C_T": copying(made, known, real, {}, draws=0)[0].alarm,
        "re-identification": patients_shown(images[1], training, images[0], vectors, {}, draws=0).outcome.alarm,
        "membership": membership(made, known[first], real, {}, draws=0).outcome.alarm,
    }


def power(pool: Pool, vectors: privacy.Vectors, seed: int) -> dict[str, list[Planted]]:
    """How often each test sees planted copies of each kind, beside one clean generator."""
    learnt, held, audited = pool.divided(seed)
    films, training, others = (pool.images[rows] for rows in (audited, learnt, held))
    planted = privacy.copies_of(training)
    small = {kind: pixels(some) for kind, some in planted.items()}
    made, known, real = (pixels(some) for some in (films, training, others))
    first = np.unique(pool.patients[learnt], return_index=True)[1]
    people = Patients.of(training, pool.patients[learnt], vectors)
    copied = memorised(films, training, others)
    return {
        "copies": planted_told(len(films), {one.kind: one.told for one in copied.power}),
        "C_T": copying(made, known, real, small)[0].planted,
        "re-identification": patients_shown(films, people, others, vectors, planted).outcome.planted,
        "membership": membership(made, known[first], real, small).outcome.planted,
    }


def power_table(found: dict[str, list[Planted]]) -> list[str]:
    """Markdown: a line for each test and kind of copy, a column for each share of copies; then the line of each test."""
    shares = sorted({one.share for rows in found.values() for one in rows})
    heads = [f"{100 * share:g} % copies" for share in shares]
    lines = [f"| test | copies | {' | '.join(heads)} |", "|---|---|" + "---|" * len(shares)]
    for name, rows in found.items():
        for kind in dict.fromkeys(one.kind for one in rows):
            seen = {one.share: f"{100 * one.seen:.0f} %" for one in rows if one.kind == kind}
            lines.append(f"| {name} | {kind} | {' | '.join(seen.get(share, '') for share in shares)} |")
    return [*lines, "", *(f"- {name}: {power_sentence(rows, 'none')}" for name, rows in found.items())]


def _print_alarms(counts: dict[str, int], generators: int) -> None:
    print("\n| test | nominal | alarms | of a nominal test 95 % of series have at most |\n|---|---|---|---|")
    for name, level in TESTS.items():
        most = stats.binom.ppf(0.95, generators, level)
        print(f"| {name} | {100 * level:g} % | {100 * counts[name] / generators:.1f} % | {most:.0f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="phantom_nih-1000")
    parser.add_argument("--generators", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--division", type=int, help="in which copies are planted; default: the last generator's")
    asked = parser.parse_args()
    films = find_dataset(asked.data, SIDE if is_drawn(asked.data) else None, Progress()).resized(SIDE)
    patients = films.cases["patient"].astype(str)
    names = np.random.default_rng(0).permutation(patients.unique())
    apart = patients.isin(names[: len(names) // 5]).to_numpy()
    network = fit_patients(films.select(apart), ReidentifySettings(steps=asked.steps))

    def vectors(images: np.ndarray) -> np.ndarray:
        return patient_vectors(network, images)

    pool = Pool(films.select(~apart), vectors)
    counts, start = dict.fromkeys(TESTS, 0), time.process_time()
    for seed in range(asked.generators):
        for name, alarm in alarms(pool, seed).items():
            counts[name] += alarm
        print(seed, counts, f"{time.process_time() - start:.0f} s", file=sys.stderr)
    print(f"{asked.data}: {asked.generators} clean generators, {[len(rows) for rows in pool.divided(0)]} films")
    if asked.generators:
        _print_alarms(counts, asked.generators)
    division = asked.generators - 1 if asked.division is None else asked.division
    print("", *power_table(power(pool, vectors, division)), sep="\n")


if __name__ == "__main__":
    main()
