"""The text format of protocol buffers: every form of a field, and every mistake with its line."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.errors import UsageError
from finetune.formats.prototxt import DEEPEST, LARGEST, Message, parse, read_prototxt


def test_every_form_of_a_field() -> None:
    found = parse(
        """# a comment: with { signs
        net: "a # no comment" base_lr:1e-3, gamma : .5 ; power: 2. stepsize: 10f
        clip: -1 lr_policy: 'it\\'s "step"' prefix: "one" "two\\n" solver_mode: GPU debug: true
        stepvalue: 3 stepvalue: 5 values: [1, 2] none: []
        layer { name: "conv1" param { lr_mult: 1 } param: < lr_mult: 2 > } layer: {}""",
        "solver.prototxt",
    )
    assert {key: values for key, values in found.values.items() if key != "layer"} == {
        "net": ["a # no comment"], "base_lr": [0.001], "gamma": [0.5], "power": [2.0], "stepsize": [10.0],
        "clip": [-1.0], "lr_policy": ["it's \"step\""], "prefix": ["onetwo\n"], "solver_mode": ["GPU"],
        "debug": ["true"], "stepvalue": [3.0, 5.0], "values": [1.0, 2.0], "none": [],
    }  # fmt: skip
    first, second = found.messages("layer")
    assert first.text("name") == "conv1"
    assert [param.number("lr_mult") for param in first.messages("param")] == [1, 2]
    assert second.values == {}
    assert first.messages("param")[0].place == "solver.prototxt, layer, param"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: ", "line 2: expected a value, but found the end of the file"),
        ("a: 1\n\nb 2", "line 3: expected ':' or '{' after the name of a field, but found '2'"),
        ("layer {\n a: 1\n", "line 3: expected the name of a field, but found the end of the file"),
        ("layer { a: 1 >", "line 1: expected the name of a field, but found '>'"),
        ("}", "line 1: expected the name of a field, but found '}'"),
        ("a: 1 }", "line 1: expected the name of a field, but found '}'"),
        ('a: "open\nb: 1', "line 1: expected a field of a prototxt file, but found '\"open'"),
        ("a: 0x10", "line 1: expected a field of a prototxt file, but found '0x10'"),
        ("a: [1 2]", "line 1: expected ',' or ']', but found '2'"),
        ("a: 1e999", "line 1: expected finite numbers, but found the end of the file"),
        ("a {" * (DEEPEST + 1), "line 1: expected fewer messages within each other, but found the end of the file"),
        ("a: 1 \x00", "line 1: expected a field of a prototxt file, but found '\\x00'"),
    ],
)
def test_what_is_not_a_prototxt(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, "s.prototxt")
    assert str(error.value) == f"s.prototxt, {message}; correct it"


def test_depth_does_not_depend_on_the_stack() -> None:
    with pytest.raises(UsageError, match="fewer messages within each other"):
        parse("a {" * 100_000, "s.prototxt")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary, long = tmp_path / "weights.caffemodel", tmp_path / "long.prototxt"
    binary.write_bytes(b"\xff\xfe\x00")
    long.write_bytes(b"#" * (LARGEST + 1))
    for path, message in (
        (tmp_path / "none.prototxt", "cannot be opened (No such file or directory); expected a prototxt file of Caffe"),
        (binary, "is not text; expected a prototxt file of Caffe"),
        (long, "has 4,194,305 bytes; expected a prototxt file of Caffe, of 4,194,304 at most"),
    ):
        with pytest.raises(UsageError) as error:
            read_prototxt(path)
        assert str(error.value) == f"{path} {message}"


@given(text=st.text(alphabet="{}<>[]:;,\"'#\\ab1.-e\n \x00ü", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert isinstance(parse(text, "s.prototxt"), Message)


def message(text: str) -> Message:
    return parse(text, "s.prototxt")


def test_values_by_type() -> None:
    found = message("n: 2.5 w: 3 t: 'text' yes: true no: false m { a: 1 } r: 1 r: 2 s: 'a' s: b")
    assert (found.number("n"), found.whole("w"), found.text("t")) == (2.5, 3, "text")
    assert (found.flag("yes"), found.flag("no"), found.flag("missing")) == (True, False, False)
    assert (found.numbers("r"), found.texts("s")) == ((1.0, 2.0), ("a", "b"))
    assert (found.number("x", 7.0), found.whole("x", 7), found.text("x", "y")) == (7.0, 7, "y")
    assert found.message("m").number("a") == 1
    assert found.message("missing").values == {}


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        ("a: b", lambda found: found.number("a"), "a: expected a number, not 'b'"),
        ("", lambda found: found.number("a"), "a is missing; expected a with a number"),
        ("a: 1 a: 1", lambda found: found.number("a"), "a is given 2 times; expected it once"),
        ("a: 1.5", lambda found: found.whole("a"), "a: expected a whole number from 0 to 2147483647, not 1.5"),
        ("a: -1", lambda found: found.whole("a"), "a: expected a whole number from 0 to 2147483647, not -1"),
        ("a: 2147483648", lambda found: found.whole("a"),
         "a: expected a whole number from 0 to 2147483647, not 2.14748e+09"),
        ("a: 1", lambda found: found.text("a"), "a: expected a text, not 1"),
        ("a: 1", lambda found: found.texts("a"), "a: expected texts, not 1"),
        ("a: b", lambda found: found.numbers("a"), "a: expected numbers, not 'b'"),
        ("a: yes", lambda found: found.flag("a"), "a: expected true or false, not 'yes'"),
        ("a: 1", lambda found: found.messages("a"), "a: expected { … }, not 1"),
        ("a {}", lambda found: found.number("a"), "a: expected a number, not { … }"),
        ("a {} a {}", lambda found: found.message("a"), "a is given 2 times; expected it once"),
        ("stepsise: 1", lambda found: found.check_known({"stepsize"}),
         "stepsise cannot be honoured (did you mean stepsize?); remove it, or train with Caffe"),
        ("delta: 1", lambda found: found.check_known({"stepsize"}),
         "delta cannot be honoured; remove it, or train with Caffe"),
    ],
)  # fmt: skip
def test_values_of_another_type_or_number(text: str, read: object, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        read(message(text))  # type: ignore[operator]
    assert str(error.value) == f"s.prototxt: {expected}"
