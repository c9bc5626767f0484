"""Readers of what nobody vouches for, fuzzed: any bytes give a value or one line, never another error."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.runs.record import Record
from cxrbench.leaderboard.arrays import (
    ArrayWriter,
    ScoresWriter,
    array_digests,
    digest_of_scores,
    read_predictions,
    read_scores,
    score_keys,
)
from cxrbench.leaderboard.cells import Cells, named_arrays, read_cells
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.pictures import check_png
from cxrbench.leaderboard.untrusted import Refused, check_name, read_json, read_models, read_toml, text_problem

from . import taken_apart as apart

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(read, path: Path):
    """What a reader gives, or None where it refused in one line."""
    try:
        return read(path)
    except Refused as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return None


@pytest.fixture(scope="module")
def run(packed) -> Path:
    return apart.run_folder(packed)


def every_array(path: Path) -> list[Predictions]:
    return [read_predictions(path, {"ids": one, "x": one}) for one in array_digests(path)]


READERS = {
    "predictions.npz": every_array,
    "scores.parquet": lambda path: [read_scores(path, key) for key in score_keys(path)],
    "records.jsonl": lambda path: read_cells(path.parent),
    "submission.toml": read_toml,
    "a.png": check_png,
}


@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(raw=st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(name, raw, tmp_path):
    path = tmp_path / name
    path.write_bytes(raw)
    read_or_refuse(READERS[name], path)


@pytest.mark.parametrize("name", ["predictions.npz", "scores.parquet", "records.jsonl"])
@FUZZ
@given(data=st.data())
def test_damaged_files_are_refused_or_read(name, data, run, tmp_path):
    raw = bytearray((run / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    read_or_refuse(READERS[name], path)
    for key, record in read_cells(run).records.items():
        read_or_refuse(Cells(tmp_path, {key: record}).cell, key)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(value=JSON, data=st.data())
def test_any_json_in_a_record_is_refused_or_is_a_record(value, data, run, tmp_path):
    record = apart.records(run)[0]
    holder = record
    for _ in range(data.draw(st.integers(0, 2))):
        inner = [part for part in holder.values() if isinstance(part, dict) and part]
        holder = data.draw(st.sampled_from(inner)) if inner else holder
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record) + "\n")
    found = read_or_refuse(lambda path: read_models(path, Record, 1), path)
    assert found is None or isinstance(found[0], Record)


@FUZZ
@given(text=st.text(max_size=40))
def test_any_text_in_submission_toml_is_refused_or_shown_plain(text, packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "my_gan"
    folder.mkdir()
    said = (packed / "submission.toml").read_text(encoding="utf-8")
    (folder / "submission.toml").write_text(
        said.replace('"Noor Ahmadi"', json.dumps(text)), encoding="utf-8", errors="surrogatepass"
    )
    entry = read_or_refuse(load_entry, folder)
    if entry is not None:
        (author,) = entry.submission.authors
        assert author.isprintable() and not set("<>") & set(author)


@FUZZ
@given(name=st.text(max_size=12))
def test_names_of_files_are_plain_ascii(name):
    try:
        check_name(name)
    except Refused:
        return
    assert name.isascii() and name[0].isalnum() and "/" not in name and "\\" not in name and name != ".."


@pytest.mark.parametrize(
    "text", ["<b>", "< script", "</a>", "<!--", "&lt;", "&#60;", "a\u200bb", "a\u202eb", "\x1b[31m"]
)
def test_markup_and_hiding_characters_are_told(text):
    assert text_problem(text)


@pytest.mark.parametrize("text", ["p < 0.01", "a & b", "Universität", "東京", "x > y", "AT&T"])
def test_plain_text_of_any_language_is_plain(text):
    assert text_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": [[-1e999]]}', "[" * 30, "{", ""),
        *('{"a": 1, "a": 2}', '{"b": [{"a": {"c": 1, "c": 1}}]}', '{"a": 1, "\\u0061": 2}'),
        *(
            '{"a": 9223372036854775808}',
            '[[{"a": "<b>"}]]',
            '{"a": {"&lt;": 1}}',
            '{"a": ["x", ["\\u202e"]]}',
            '["\u202e"]',
        ),
        *('{"a": "\\u003cb>"}', '{"a": "e\u0301"}', '[[["\x7f"]]]'),
    ],
)
def test_json_that_is_no_plain_json_is_refused(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(Refused):
        read_json(path)


@pytest.mark.parametrize(
    "text",
    ['{"a": "p < 0.5 & more", "b": [1e300, {"a": "x"}, 9223372036854775807]}', '{\n "a": "é \\" \\u00e9"\n}', "[]"],
)
def test_json_that_is_plain_is_read(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    assert read_json(path)[0] == text


def test_of_an_object_the_plain_values_are_told(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"schema": 3, "in": [{"schema": 4}, {"schema": 5}], "a": "b", "last": {"schema": 6}}')
    assert read_json(path)[1] == {"schema": 3, "in": [None, None], "a": "b", "last": None}
    path.write_text('[{"schema": 3}]')
    assert read_json(path)[1] == {}


# --------------------------------------------------------------------------------------------------- arrays, scores


@FUZZ
@given(
    kind=st.sampled_from([np.uint8, np.bool_, np.int16, np.float16, np.float32, np.float64]),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_predictions_come_back_as_they_were_written(kind, shape, seed, tmp_path):
    array = (np.random.default_rng(seed).normal(size=shape) > 0).astype(kind)
    said = Predictions(("a", "b"), {"x": array})
    found = read_predictions(tmp_path / "p.npz", written(said, tmp_path / "p.npz"))
    assert found.ids == said.ids and found.arrays["x"].dtype == array.dtype
    assert np.array_equal(found.arrays["x"], array)


def written(said: Predictions, path: Path) -> dict[str, str]:
    """Write the predictions of one cell; the sha256 of its arrays."""
    with ArrayWriter(path) as writer:
        return writer.add(said)


def test_an_array_is_called_by_the_sha256_of_its_npy_file(tmp_path):
    digests = written(Predictions(("a",), {"x": np.arange(3)}), tmp_path / "p.npz")
    with zipfile.ZipFile(tmp_path / "p.npz") as archive:
        raw = archive.read(f"{digests['x']}.npy")
    assert hashlib.sha256(raw).hexdigest() == digests["x"] and raw == apart.npy(np.arange(3))
    assert array_digests(tmp_path / "p.npz").keys() == set(digests.values())


def test_a_cell_is_read_without_the_others(run, tmp_path):
    """All others' bytes are gone, and of the damaged one a single line is told."""
    cells = read_cells(run)
    first, second, *_ = cells.records
    said, scores = cells.predictions(first), cells.scores(first)
    for name in ("predictions.npz", "scores.parquet"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with zipfile.ZipFile(tmp_path / "predictions.npz") as archive:
        there = [(f"{one}.npy") for one in named_arrays(cells.records[first]).values()]
        gone = [info for info in archive.infolist() if info.filename not in there]
    raw = bytearray((tmp_path / "predictions.npz").read_bytes())
    for info in gone:
        start = info.header_offset + 30 + len(info.filename)
        raw[start : start + info.compress_size] = bytes(info.compress_size)
    (tmp_path / "predictions.npz").write_bytes(raw)
    moved = Cells(tmp_path, cells.records)
    assert np.array_equal(moved.predictions(first).arrays["labels"], said.arrays["labels"])
    assert moved.scores(first).equals(scores)
    with pytest.raises(Refused, match=r"^predictions\.npz cannot be read \(\w+\)$"):
        moved.predictions(second)


def test_label_maps_take_less_than_numpy_would_give_them(tmp_path):
    labels = np.zeros((200, 64, 64), np.uint8)
    for row in range(200):
        labels[row, 8 : 30 + row % 7, 10 : 40 - row % 5] = 1
    said = Predictions(tuple(f"c{row}" for row in range(200)), {"labels": labels})
    said.save(tmp_path / "a.npz")
    written(said, tmp_path / "b.npz")
    assert (tmp_path / "b.npz").stat().st_size < 0.8 * (tmp_path / "a.npz").stat().st_size


@FUZZ
@given(values=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_scores_come_back_to_the_last_digit(values, tmp_path):
    frame = pd.DataFrame(
        {"case": [f"c{n}" for n in range(len(values))], "structure": "heart", "metric": "dsc", "value": values}
    )
    with ScoresWriter(tmp_path / "s.parquet") as writer:
        digests = [writer.add(key, frame) for key in ("a", "b")]
    assert score_keys(tmp_path / "s.parquet") == ["a", "b"]
    for key in ("a", "b"):
        found = read_scores(tmp_path / "s.parquet", key)
        pd.testing.assert_frame_equal(found, frame, check_dtype=False, check_exact=True)
        assert digests == [digest_of_scores(found)] * 2


def test_the_digest_of_scores_sees_a_number_a_case_and_an_order():
    frame = pd.DataFrame({"case": ["a", "b"], "structure": "heart", "metric": "dsc", "value": [0.5, 0.6]})
    others = [frame.assign(value=[0.5, 0.6 + 2e-16]), frame.assign(case=["a", "c"]), frame[::-1]]
    assert len({digest_of_scores(one) for one in (frame, *others)}) == 4
    assert digest_of_scores(frame[["value", "metric", "structure", "case"]]) == digest_of_scores(frame)


def test_another_array_under_the_name_of_one_is_refused(tmp_path):
    digests = written(Predictions(("a",), {"x": np.arange(3)}), tmp_path / "p.npz")
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr(f"{digests['ids']}.npy", apart.npy(np.array(["a"])))
        archive.writestr(f"{digests['x']}.npy", apart.npy(np.arange(4)))
    with pytest.raises(Refused, match=r"x is not the array that it is called by \(sha256\)"):
        read_predictions(tmp_path / "p.npz", digests)


def test_a_row_group_whose_statistics_name_another_cell_is_refused(tmp_path):
    path, said, found = tmp_path / "s.parquet", "a" * 64, "b" * 64
    frame = pd.DataFrame({"case": ["c"], "structure": "heart", "metric": "dsc", "value": [0.5]})
    with ScoresWriter(path) as writer:
        writer.add(found, frame)
    raw = path.read_bytes()
    footer = len(raw) - 8 - struct.unpack("<I", raw[-8:-4])[0]
    path.write_bytes(raw[:footer] + raw[footer:].replace(found.encode(), said.encode()))
    assert score_keys(path) == [said]
    with pytest.raises(Refused, match="scores of another cell among those of aaaaaaaa"):
        read_scores(path, said)


def test_an_array_that_says_it_is_larger_than_its_bytes_takes_no_memory(tmp_path):
    body = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000)}".ljust(117) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body
    name = hashlib.sha256(raw).hexdigest()
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr(f"{name}.npy", raw)
    with pytest.raises(Refused, match="not what its bytes hold"):
        read_predictions(tmp_path / "p.npz", {"x": name})


# --------------------------------------------------------------------------------------------------------- pictures


def picture(mode: str = "L", size: tuple[int, int] = (12, 9), **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)).convert(mode).save(
        buffer, "PNG", **options
    )
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
def test_pictures_of_every_plain_kind_pass(mode, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(mode))
    check_png(tmp_path / "a.png")


BAD_PICTURES = {
    "an archive behind it": picture() + b"PK\x03\x04",
    "a text inside": picture()[:33] + chunk(b"tEXt", b"a\0<script>") + picture()[33:],
    "no end": picture()[:-12],
    "half": picture()[:60],
    "a wrong sum": picture()[:40] + b"\0\0\0" + picture()[43:],
    "a giant": picture()[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0)) + picture()[33:],
    "a bomb": picture()[:33] + chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b""),
    "no pixels": picture()[:33] + chunk(b"IEND", b""),
    "a page": b"<html></html>",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_pictures_that_are_more_or_less_than_pictures_are_refused(name, tmp_path):
    (tmp_path / "a.png").write_bytes(BAD_PICTURES[name])
    with pytest.raises(Refused):
        check_png(tmp_path / "a.png")
