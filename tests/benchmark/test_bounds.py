"""The scans before a parser: they let through what is plain, see through texts and comments, and are linear."""

from __future__ import annotations

import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cxrbench.benchmark import bounds
from cxrbench.benchmark.bounds import (
    DEPTH,
    KEY_PARTS,
    LISTS,
    MEMBERS,
    TOKENS,
    TooMuch,
    check_json,
    check_toml,
    check_zip,
    memory,
    validator,
)
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs.record import Record
from cxrbench.benchmark.schema import Strict

FUZZ = settings(max_examples=300, deadline=None)
TEXT = st.text(st.sampled_from("ab\"'\\\n\t#.[]{}=,: é\u2028"), max_size=12) | st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


# The scan a token at a time; outside of texts a backslash is passed over with the quote or backslash behind it.
_TOKEN = re.compile(r'(?s)"(?:[^"\\]|\\.)*+(?P<end>"?)|\\["\\]?|(?P<open>[\[{])|(?P<close>[\]}])|(?P<between>[,:])')


def said_a_token_at_a_time(text: str, most: int) -> str:
    depth = lists = tokens = 0
    for found in _TOKEN.finditer(text):
        if found.lastgroup is None:
            continue
        tokens += 1
        if found.lastgroup == "open":
            depth, lists = depth + 1, lists + 1
            if depth > bounds.DEPTH:
                return f"is nested deeper than {bounds.DEPTH} levels"
            if lists > bounds.LISTS:
                return f"holds more than {bounds.LISTS:,} lists and objects"
        elif found.lastgroup == "close":
            depth -= 1
        if tokens > most:
            return f"holds more than {most:,} texts, brackets, commas and colons"
        if found.lastgroup == "end" and not found["end"]:
            return "is cut off: a text in it has no end"
        if found.lastgroup == "end" and found.end() - found.start() > bounds.LETTERS:
            return f"holds a text of more than {bounds.LETTERS:,} letters"
    return ""


def said(text: str, most: int) -> str:
    try:
        check_json(text, most)
    except TooMuch as error:
        return str(error)
    return ""


@FUZZ
@given(
    text=st.text(st.sampled_from('"""\\\\[]{},:aé\ud800\n'), max_size=60),
    chunk=st.integers(1, 9),
    most=st.integers(4, 20),
)
def test_the_scan_of_many_bytes_together_says_what_one_a_token_at_a_time_says(text, chunk, most):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("CHUNK", chunk), ("DEPTH", 3), ("LISTS", 5), ("LETTERS", 9)):
            patch.setattr(bounds, name, value)
        assert said(text, most) == said_a_token_at_a_time(text, most)


def refused(check, text: str) -> bool:
    try:
        check(text)
    except TooMuch as error:
        assert "\n" not in str(error) and len(str(error)) < 200
        return True
    return False


@FUZZ
@given(value=JSON, deep=st.integers(0, 40), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_json_is_refused_for_its_depth_alone_whatever_its_texts_hold(value, deep, ascii_only, indent):
    def depth_of(part: object) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)

    for _ in range(deep):
        value = [value]
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert refused(check_json, text) == (depth_of(value) > DEPTH)


@FUZZ
@given(value=JSON, cut=st.floats(0, 1))
def test_json_that_is_cut_off_within_a_text_is_refused(value, cut):
    text = json.dumps([value, "a text"])
    half = text[: int(cut * len(text))]
    inside, escaped = False, False
    for letter in half:
        if inside and escaped:
            escaped = False
        elif inside and letter == "\\":
            escaped = True
        elif letter == '"':
            inside = not inside
    assert refused(check_json, half) == inside


def statement(number: int, text: str, form: int) -> str:
    """A line of TOML that holds a text in one of its forms; comments too."""
    plain = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
    line = plain.replace("\n", " ")
    match form:
        case 0:
            return f"t{number} = {json.dumps(line)}"
        case 1:
            return f"t{number} = '{line.replace(chr(39), '')}'"
        case 2:
            return f't{number} = """\n' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"""'
        case 3:
            return f"t{number} = '''\n" + plain.replace("'''", "''").replace("'", "") + "'''"
        case 4:
            return f't{number} = """' + plain.replace("\\", "/").replace('"', "") + '"" "quoted"" """'
        case _:
            return f"# {line}"


@FUZZ
@given(
    before=st.lists(st.tuples(TEXT, st.integers(0, 5)), max_size=4),
    dots=st.integers(0, 2 * KEY_PARTS),
    quoted=st.sampled_from(["a", '"a.b"', "'a\"b'"]),
    form=st.sampled_from(["{} = 1", "[{}]", "[[{}]]", "x = {{ {} = 1 }}"]),
    space=st.sampled_from(["", " "]),
)
def test_toml_is_refused_for_the_dots_of_its_keys_alone_whatever_stands_before(before, dots, quoted, form, space):
    key = f"{space}.{space}".join([quoted] * (dots + 1))
    lines = [statement(number, text, kind) for number, (text, kind) in enumerate(before)]
    text = "\n".join([*lines, form.format(key)])
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a letter that TOML does not have
    assert refused(check_toml, text) == (dots > KEY_PARTS)


@FUZZ
@given(text=st.text(st.sampled_from("\"'\\#.=[]{}a \n"), max_size=80))
def test_any_text_is_scanned_without_an_error(text):
    refused(check_toml, text)
    refused(check_json, text)


@pytest.mark.parametrize(
    "part", ['"' + '\\"' * 500_000, '"' * 1_000_000, "'" * 1_000_000, '"""\\' * 250_000, "\\" * 1_000_000]
)
def test_a_million_letters_take_a_second_at_most(part):
    """Ten times what a minute would not be enough for, were it quadratic."""
    for text in (part, "a = " + part, '{"a": ' + part):
        refused(check_json, text)
        refused(check_toml, text)


def test_what_there_may_be_at_most():
    assert not refused(check_json, "[" + "1," * (TOKENS - 3) + "1]")
    assert refused(check_json, "[" + "1," * TOKENS + "1]")
    assert refused(check_json, "[" + "[]," * LISTS + "[]]")


class Item(Strict):
    one: int
    two: int


class Items(Strict):
    items: list[Item]
    pairs: tuple[Item, ...] = ()


def test_a_list_is_looked_at_up_to_its_first_wrong_item():
    """Pydantic reports every one; a new version that went past the switch would be seen here."""
    text = '{"items": [' + "{}," * 5_000 + '{}], "pairs": [{}, {}, {}]}'
    with pytest.raises(ValidationError) as found:
        validator(Items).validate_json(text)
    assert found.value.error_count() == 4
    assert found.value.errors()[0]["loc"] == ("items", 0, "one")


def test_a_validator_says_what_the_model_says():
    root = Path(__file__).parents[2] / "submissions"
    results = next(root.glob("*/runs/*/results.json")).read_text(encoding="utf-8")
    assert validator(Results).validate_json(results, strict=True) == Results.model_validate_json(results, strict=True)
    record = next(root.glob("*/runs/*/records.jsonl")).read_text(encoding="utf-8").splitlines()[0]
    found = validator(Record).validate_json(record, strict=True)
    assert type(found) is Record and found == Record.model_validate_json(record, strict=True)


def test_an_archive_may_have_so_many_files_and_no_more(tmp_path):
    for count in (0, 1, MEMBERS, MEMBERS + 1):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for number in range(count):
                archive.writestr(str(number), b"")
        assert refused(lambda _: check_zip(tmp_path / "a.zip"), "") == (count > MEMBERS)
    (tmp_path / "a.zip").write_bytes(b"PK")
    assert refused(lambda _: check_zip(tmp_path / "a.zip"), "")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_memory_is_limited_within_the_block_alone():
    with pytest.raises(MemoryError), memory(64 << 20):
        bytearray(256 << 20)
    assert len(bytearray(256 << 20)) == 256 << 20
