"""`--set key=value` changes frozen settings; a wrong key gets the nearest one; keys digest the files that settings name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.settings import added, keyed, override, parse_pairs, plain, restore, within


@dataclass(frozen=True)
class Inner:
    steps: int = 10
    widths: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    rate: float = 0.1
    name: str = "a"
    on: bool = True
    weights: Path | None = None
    inner: Inner = field(default_factory=Inner)


def test_values_keep_the_type_of_the_field():
    changed = override(Outer(), parse_pairs(["rate=2", "name=7", "on=false", "inner.widths=[3,4]"]), "toy")
    assert changed == Outer(rate=2.0, name="7", on=False, inner=Inner(widths=(3, 4)))
    assert isinstance(changed.rate, float)


def test_null_is_nothing_where_a_setting_may_be_empty_and_a_word_elsewhere(tmp_path):
    given = Outer(weights=tmp_path / "file")
    assert override(given, [("weights", "null")], "toy").weights is None
    assert override(given, [("weights", '"null"')], "toy").weights == Path('"null"')
    assert override(given, [("name", "null")], "toy").name == "null"
    with pytest.raises(InputError, match="'rate'"):
        override(given, [("rate", "null")], "toy")


def test_an_unknown_key_gets_the_nearest_one():
    with pytest.raises(InputError, match=r"unknown setting of toy 'inner.step'. Did you mean inner.steps"):
        override(Outer(), [("inner.step", "3")], "toy")


def test_a_value_of_the_wrong_type_names_the_key():
    with pytest.raises(InputError, match=r"setting 'inner.steps': .*integer.*'many'"):
        override(Outer(), [("inner.steps", "many")], "toy")


def test_set_without_an_equals_sign_says_what_is_expected():
    with pytest.raises(InputError, match="expected key=value"):
        parse_pairs(["rate"])


def test_settings_survive_json():
    settings = Outer(rate=0.25, weights=Path("/x/y"), inner=Inner(steps=3))
    assert restore(Outer(), plain(settings)) == settings


def test_the_key_of_a_weights_file_is_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    (tmp_path / "c").write_bytes(b"two")
    keys = [keyed(Outer(weights=tmp_path / name))["weights"] for name in "abc"]
    assert keys[0] == keys[1] != keys[2]


def test_a_weights_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no file /nowhere"):
        keyed(Outer(weights=Path("/nowhere")))


@dataclass(frozen=True)
class Later:
    rate: float = 0.1
    kind: str = added("old")
    inner: LaterInner = field(default_factory=lambda: LaterInner())


@dataclass(frozen=True)
class LaterInner:
    steps: int = 10
    shown: tuple[int, ...] = added(())


def test_a_setting_that_came_later_is_in_keys_only_where_it_is_not_at_its_default():
    assert keyed(Later()) == {"rate": 0.1, "inner": {"steps": 10}}
    assert plain(Later())["kind"] == "old"
    changed = override(Later(), [("kind", "new"), ("inner.shown", "[0, 5]")], "toy")
    assert keyed(changed) == {"rate": 0.1, "kind": "new", "inner": {"steps": 10, "shown": [0, 5]}}
    assert restore(Later(), keyed(Later())) == Later()


def test_values_within_others():
    assert within({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2, "d": 3}, "e": 4})
    assert not within({"b": {"c": 2}}, {"b": {"c": 3}})
    assert not within({"a": 1}, {})


def test_a_number_is_taken_as_a_list_of_one() -> None:
    @dataclass(frozen=True)
    class Noise:
        latent: tuple[int, ...] = ()
        name: str = ""

    changed = override(Noise(), parse_pairs(["latent=128", "name=128"]), "toy")
    assert changed == Noise(latent=(128,), name="128")
    with pytest.raises(InputError, match=r"setting 'latent': .*, found True"):
        override(Noise(), parse_pairs(["latent=true"]), "toy")
