"""Boards on phantoms and on real films, held together on the page "what this board can tell"."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cxrbench.leaderboard.site.build import write_site
from cxrbench.leaderboard.site.sibling import siblings
from cxrbench.leaderboard.site.svg import WIDE, names
from cxrbench.leaderboard.standings import boards

from .made_up import KEY, attempt

REAL = replace(KEY, data="children", digest="2" * 64)
GAINS = {"copies": 0.0, "noise": -0.03, "half": -0.01, "good": 0.02, "better": 0.04}


def both(order=1.0):
    """Entries on both boards; on the real films their gains are `order` times those on phantoms."""
    here = [attempt(name, gain, seed=i) for i, (name, gain) in enumerate(GAINS.items())]
    there = [
        attempt(name, order * gain, seed=i, key=REAL, phantom=False) for i, (name, gain) in enumerate(GAINS.items())
    ]
    return [*here, *there]


def test_boards_of_the_other_kind_of_films_are_held_together():
    found = boards(both())
    phantom, real = (next(one for one in found if one.phantom is kind) for kind in (True, False))
    for one, other in ((phantom, real), (real, phantom)):
        (sibling,) = siblings(one, found)
        assert sibling.other is other
        assert sibling.gains.spearman == pytest.approx(1) and set(sibling.gains.providers) == set(GAINS)
        assert sibling.drawing is not None and sibling.drawing.svg.count("<title>") == 2 * len(GAINS)  # wide and narrow
    (turned,) = siblings(phantom, [phantom, *(one for one in boards(both(-1.0)) if not one.phantom)])
    assert turned.gains.spearman == pytest.approx(-1)


def test_only_boards_of_one_protocol_version_and_preset_are():
    here = boards(both()[: len(GAINS)])
    for what, value in (("version", 2), ("preset", "standard"), ("task", "scr_3fold")):
        key = replace(REAL, **{what: value})
        assert siblings(here[0], [*here, *boards([attempt("good", key=key, phantom=False)])]) == []


def test_few_common_entries_get_words_and_no_drawing():
    made = [one for one in both() if one.phantom or one.entrant.name in ("copies", "noise")]
    found = boards(made)
    (sibling,) = siblings(found[0], found)
    assert sibling.drawing is None and "2 providers are on both boards" in sibling.gains.sentence


def test_the_page_shows_the_sentence_and_the_drawing(tmp_path):
    write_site(both(), tmp_path / "site")
    pages = sorted((tmp_path / "site" / "boards").glob("*-tells.html"))
    texts = [" ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split()) for page in pages]
    assert sum("Does it predict real films?" in text for text in texts) == 1
    assert sum("Do phantoms predict it?" in text for text in texts) == 1
    assert all("Spearman&#39;s rho 1.00" in text and "over 5 providers" in text for text in texts)


def test_a_name_lies_over_no_bar_where_there_is_room_and_askew_of_its_point_where_there_is_none():
    across, down = (50.0, 99.0, 300.0, 101.0), (99.0, 20.0, 101.0, 300.0)
    place = re.compile(r'<text[^>]* x="([-\d.]+)" y="([-\d.]+)"')
    (free,) = names(WIDE, [(100.0, 100.0, "pix2pix")])
    (beside,) = names(WIDE, [(100.0, 100.0, "pix2pix")], [across, down])
    everywhere = [across, down, (0.0, 0.0, 600.0, 400.0)]
    (over,) = names(WIDE, [(100.0, 100.0, "pix2pix")], everywhere)
    found = [tuple(map(float, place.search(one).groups())) for one in (free, beside, over)]
    assert found == [(109.0, 104.0), (107.0, 94.0), (107.0, 94.0)]
