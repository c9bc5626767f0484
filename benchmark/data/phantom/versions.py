"""The versions of the phantoms by the digests of their films, so that an old number can be told what it is of.

Version 1 was drawn in single precision with vectorised functions, so that processors with other instructions drew other
films of the same version: all that were seen are here. From version 2 on, and of `phantom_hard` from version 1 on, a film
is a function of its id alone (`exact`), and a version has one digest for each set and resolution.
"""

from __future__ import annotations

from functools import cache

from ... import digest

VERSION = "2"
"""Of the films of all phantoms but the hard one: raised when a pixel, a mask, a label or a box moves."""

HARD_VERSION = "1"
"""Of the films of `phantom_hard`."""

KNOWN: dict[tuple[str, int], dict[int, tuple[str, ...]]] = {
    ("phantom", 64): {
        1: (
            "8e9181e682c5fade475f004001150f90d74a2afd6be5fb0b2fe7dea0b4aeb22c",  # AVX-512, AVX2
            "656023a47e370b9b4c4b8f9fbbc9cbe9b18b2cfb464f980a971c6fb4f1a60ceb",  # SSE4.2
        ),
        2: ("dacdfe95d4d3c9d6c669fbb638326ff0552ef2126e16ef1e8bbca3a1fb2d85d8",),
    },
    ("phantom", 128): {2: ("e193f59c497ff3fa7f548533bfecc3d409d283944b75ea968465494b012eddcd",)},
    ("phantom", 256): {2: ("eebf475760dff9a3ce0c65f9f60a45721453c32904eaaba8589f8db667c17e48",)},
    ("phantom_hard", 64): {1: ("cc21f5ab8da059258e7c1605570aa9db0d0452ded3e4d1622ec2aaf19316d4b2",)},
    ("phantom_hard", 128): {1: ("8eff2d07f1ce4052f89b35f554abbbadef8db686a91427bb9675d8d6bb12e90a",)},
    ("phantom_hard", 256): {1: ("09ab6975f98eb4cc49782c4143c12ff55e25edf95a009a6d1f72f3b26fa8cf44",)},
    ("phantom_nih", 64): {
        1: (
            "c78cbe6bcc3c46ea7d092c291ff0709e52ed6fa5f4b1b2b0e7b53e6113548f69",  # AVX-512
            "c6fedde8c777d2e2269e02d3e85a688a56bbee68f2624727ceace933915579c9",  # AVX2
            "11aab0379c5e51e92493f456288e8f1f7181a95cb6839cbf1020cd5424a750d9",  # SSE4.2
        ),
        2: ("470d48c6653fbc3fcbc13ce2338644d0b69448937f156e7caca74ef44ac07f83",),
    },
    ("phantom_boxes", 64): {
        1: (
            "d462df2a2276a8168aa79646e9e4e5f2db6de1ca4ddd59149481036a0e17533a",  # AVX-512
            "add31a33e30c2bd8eafab950659ff638bcc4cf50e6cb07a43ae26bd0877ed3dd",  # AVX2
            "5d4089133cd4593c3cc4e9d39098451b5a0dff987dbde5f434f8ee41e701dc4f",  # SSE4.2
        ),
        2: ("f2f9479e12f5a7508ab06b0dcd89a821286f12c12d2de9265f44f89b392b2e86",),
    },
}
"""By name and resolution the digests (`Dataset.digest`) of every version."""


def newest_of(name: str) -> int:
    """The newest version of a phantom that is known; 0 of another set."""
    return max((version for (of, _), kept in KNOWN.items() if of == name for version in kept), default=0)


@cache
def _pairs(name: str) -> dict[str, int]:
    """Versions by what a record calls the digest of its films: that of the test's and the providers' resolution together."""
    known = {
        films: version for (of, _), kept in KNOWN.items() if of == name for version in kept for films in kept[version]
    }
    pairs = [(test, fit) for test in known for fit in known if known[test] == known[fit]]
    return {digest.of_json(list(pair)): known[pair[0]] for pair in pairs}


def version_of(name: str, films: str) -> int | None:
    """The version of a phantom by the digest of a record's or a run's films (`DataIdentity.digest`); None for one that is
    not known (another set, or a resolution that is not listed)."""
    return _pairs(name).get(films)
