"""Pickles that are read, and the exact message for those that are refused."""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.safe_pickle import load_pickle, ordered_dict

ORDERED_DICT = {("collections", "OrderedDict"): ordered_dict}

PLAIN: list[Any] = [
    None,
    [True, False, 0, 255, 256, 65_536, -1, 2**31, -(2**70), 2**2100, 1.5],
    {"text": "ä", b"bytes": (), 3: (1,), "nested": {"pair": (1, 2), "triple": (1, 2, 3), "more": tuple(range(9))}},
    ["a" * 300, "b" * 70_000, ["shared"] * 300],
    OrderedDict(first=[1], second=[2]),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_comes_back_as_python_reads_it(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    encode = {("_codecs", "encode"): lambda text, encoding: text.encode(encoding)}  # bytes in protocol 2
    assert load_pickle("plain.pkl", data + b"behind it", ORDERED_DICT | encode) == (value, len(data))


def test_python_2_strings_are_bytes_and_integers_may_be_text() -> None:
    data = b"\x80\x02}q\x01(U\x05conv1q\x02I4294967296\nT\x03\x00\x00\x00fc6I01\nu."
    value = load_pickle("py2.pkl", data, {})[0]
    assert value == {b"conv1": 4_294_967_296, b"fc6": True}
    assert value[b"fc6"] is True


def test_long_bytes_are_views_of_the_data() -> None:
    array = np.arange(10_000, dtype="<f4")
    data = pickle.dumps({"a": array.tobytes()}, 4)
    view = load_pickle("views.pkl", data, {})[0]["a"]
    assert np.shares_memory(np.frombuffer(view, np.uint8), np.frombuffer(data, np.uint8))
    np.testing.assert_array_equal(np.frombuffer(view, "<f4"), array)


def test_attributes_of_dictionaries_are_dropped() -> None:
    value = OrderedDict(a=1)
    value._metadata = {"version": 1}  # type: ignore[attr-defined]
    assert load_pickle("state.pkl", pickle.dumps(value, 2), ORDERED_DICT)[0] == {"a": 1}


def test_objects_that_ask_for_their_state_get_it() -> None:
    class Box:
        def __setstate__(self, state: Any) -> None:
            self.state = state

    data = b"\x80\x02cboxes\nBox\n)R}U\x01aK\x05sb."
    assert load_pickle("box.pkl", data, {("boxes", "Box"): Box})[0].state == {b"a": 5}


def test_identifiers_go_to_the_caller() -> None:
    assert load_pickle("ids.pkl", b"\x80\x02K\x07Q.", {}, lambda key: key + 1)[0] == 8


def _tuple_bomb() -> bytes:
    """Tuples of the same tuple twice, 60 deep, as a key: hashing it would take 2^60 steps."""
    twice = b"".join(b"r" + struct.pack("<I", i) + b"j" + struct.pack("<I", i) + b"\x86" for i in range(60))
    return b"\x80\x02})" + twice + b"Ns."


REFUSED = {
    "empty": (b"", "its pickle is truncated or damaged at byte 0; get a new copy of the file"),
    "no end": (b"\x80\x02}", "its pickle is truncated or damaged at byte 3; get a new copy of the file"),
    "empty stack": (b"\x80\x02.", "its pickle is truncated or damaged at byte 3; .*"),
    "text that ends early": (b"\x80\x02X\xff\xff\xff\x7fabc.", "its pickle is truncated or damaged at byte 7; .*"),
    "bytes of 8 EiB": (b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.", "its pickle is truncated or damaged at byte 11; .*"),
    "negative length": (b"\x80\x02T\xff\xff\xff\xffabc.", "its pickle is truncated or damaged at byte 7; .*"),
    "integer of 2 GiB": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "its pickle is truncated or damaged at byte 7; .*"),
    "endless line": (b"\x80\x02c" + b"a" * 9000, "its pickle is truncated or damaged at byte 3; .*"),
    "unknown memo": (b"\x80\x02j\xff\xff\xff\xff.", "its pickle is truncated or damaged at byte 7; .*"),
    "mark that is none": (b"\x80\x02K\x01t.", "its pickle is truncated or damaged at byte 5; .*"),
    "key without value": (b"\x80\x02}(K\x01u.", "its pickle is truncated or damaged at byte 7; .*"),
    "list as key": (b"\x80\x02}]Ns.", "its pickle is truncated or damaged at byte 6; .*"),
    "tuples that never hash": (_tuple_bomb(), "its pickle is truncated or damaged at byte .*"),
    "call of a string": (b"\x80\x02U\x01a)R.", "its pickle is truncated or damaged at byte 7; .*"),
    "state for a list": (b"\x80\x02]}b.", "its pickle is truncated or damaged at byte 5; .*"),
    "deep nesting": (b"\x80\x02" + b"]" * 110_000 + b".", "refused: its pickle has more than 100,000 steps.*"),
    "eval": (b"c__builtin__\neval\n.", r"refused: its pickle asks for __builtin__\.eval, .*nothing was run.*"),
    "global on the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"refused: its pickle asks for os\.system, .*"),
    "control characters": (b"cos\n\x1b[2J\n.", r"refused: its pickle asks for os\.\\x1b\[2J, .*"),
    "instance": (b"(ios\nsystem\n.", "refused: its pickle uses INST at byte 1, which weights do not need; .*"),
    "extension": (b"\x80\x02\x82\x01.", "refused: its pickle uses EXT1 at byte 2, .*"),
    "new object": (b"\x80\x02)\x81.", "refused: its pickle uses NEWOBJ at byte 3, .*"),
    "text identifier": (b"Pid\n.", "refused: its pickle uses PERSID at byte 0, .*"),
    "identifier": (b"\x80\x02NQ.", "refused: its pickle points to data outside itself.*"),
    "no pickle": (b"\xff\xd8\xff\xe0", "refused: its pickle uses byte 0xff at byte 0, .*"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(WeightsError, match=f"^bad\\.pkl: {message}$"):
        load_pickle("bad.pkl", data, ORDERED_DICT)


def test_a_memo_index_of_4_billion_costs_nothing() -> None:
    assert load_pickle("memo.pkl", b"\x80\x02K\x07r\xff\xff\xff\xff0j\xff\xff\xff\xff.", {})[0] == 7


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_a_refused_pickle_runs(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"

    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (canary,)

    with pytest.raises(WeightsError, match=r"^touch\.pkl: refused: its pickle (asks for|uses) "):
        load_pickle("touch.pkl", pickle.dumps({"conv1": Touch()}, protocol), ORDERED_DICT)
    assert not canary.exists()
