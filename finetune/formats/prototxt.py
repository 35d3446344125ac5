"""Protocol buffers as text, such as Caffe's solver.prototxt, read without a schema.

The grammar: https://protobuf.dev/reference/protobuf/textformat-spec, without extensions, hexadecimal and octal numbers.
Google's reader needs the compiled schema of the messages, which no maintained package has for Caffe.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from finetune.errors import UsageError
from finetune.system.text import did_you_mean

LARGEST = 4 << 20  # bytes of a file; the longest net that BVLC publishes has 50 kB
LARGEST_NUMBER = 2**31 - 1  # int32, as Caffe's numbers
DEEPEST = 20  # messages within messages; Caffe's have 4

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?(?![\w.]))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>[{}<>\[\]:;,])""",
    re.VERBOSE,
)
_ESCAPED = {"n": "\n", "t": "\t"}
_PAIRS = {"{": "}", "<": ">"}


Fields = dict[str, list["str | float | Message"]]  # by name, the values of each in order


@dataclass(frozen=True)
class Message:
    """The fields of a message. `place` names it in errors: the file, and what it is of.

    Numbers are floats, words such as TRAIN are text, `true` and `false` too: the reader of a field knows its type.
    """

    place: str
    values: Fields = field(default_factory=dict)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number that is given once, or the default; raise UsageError for anything else."""
        value = self._single(key, default, "a number")
        if not isinstance(value, float):
            raise self._expected(key, "a number", value)
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number from 0 to LARGEST_NUMBER that is given once, or the default; UsageError for others."""
        value = self.number(key, default if default is None else float(default))
        if not 0 <= value <= LARGEST_NUMBER or value != int(value):
            raise self._expected(key, f"a whole number from 0 to {LARGEST_NUMBER}", value)
        return int(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return all numbers of a field that may be repeated; raise UsageError for anything else."""
        found = self.values.get(key, [])
        for value in found:
            if not isinstance(value, float):
                raise self._expected(key, "numbers", value)
        return tuple(value for value in found if isinstance(value, float))

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text or word that is given once, or the default; raise UsageError for anything else."""
        value = self._single(key, default, "a text")
        if not isinstance(value, str):
            raise self._expected(key, "a text", value)
        return value

    def flag(self, key: str) -> bool:
        """Return whether a field is true; false where it is missing. Raises UsageError for anything else."""
        value = self.text(key, "false")
        if value not in ("true", "false"):
            raise self._expected(key, "true or false", value)
        return value == "true"

    def texts(self, key: str) -> tuple[str, ...]:
        """Return all texts of a field that may be repeated; raise UsageError for anything else."""
        found = self.values.get(key, [])
        for value in found:
            if not isinstance(value, str):
                raise self._expected(key, "texts", value)
        return tuple(value for value in found if isinstance(value, str))

    def messages(self, key: str) -> tuple["Message", ...]:
        """Return all messages of a field that may be repeated; raise UsageError for anything else."""
        found = self.values.get(key, [])
        for value in found:
            if not isinstance(value, Message):
                raise self._expected(key, "{ … }", value)
        return tuple(Message(f"{self.place}, {key}", value.values) for value in found if isinstance(value, Message))

    def message(self, key: str) -> "Message":
        """Return a message that is given at most once, an empty one where it is missing; UsageError for others."""
        found = self.messages(key)
        if len(found) > 1:
            raise UsageError(f"{self.place}: {key} is given {len(found)} times; expected it once")
        return found[0] if found else Message(f"{self.place}, {key}")

    def check_known(self, known: Collection[str]) -> None:
        """Raise UsageError for a field that is not among the `known`, those that are honoured or change nothing."""
        for key in self.values:
            if key not in known:
                raise UsageError(
                    f"{self.place}: {key} cannot be honoured{did_you_mean(key, known, 0.8)}; remove it, or train with "
                    "Caffe"
                )

    def _single(self, key: str, default: str | float | None, wanted: str) -> "str | float | Message":
        found = self.values.get(key, [])
        if len(found) > 1:
            raise UsageError(f"{self.place}: {key} is given {len(found)} times; expected it once")
        if not found and default is None:
            raise UsageError(f"{self.place}: {key} is missing; expected {key} with {wanted}")
        return found[0] if found or default is None else default

    def _expected(self, key: str, wanted: str, value: "str | float | Message") -> UsageError:
        found = "{ … }" if isinstance(value, Message) else f"{value:g}" if isinstance(value, float) else repr(value)
        return UsageError(f"{self.place}: {key}: expected {wanted}, not {found[:60]}")


def read_prototxt(path: Path) -> Message:
    """Return the message in a file; raise UsageError, with the line, if it cannot be read or is not such a text."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be opened ({error.strerror}); expected a prototxt file of Caffe") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text; expected a prototxt file of Caffe") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path} has {len(data):,} bytes; expected a prototxt file of Caffe, of {LARGEST:,} at most")
    return parse(text, path.name)


def parse(text: str, name: str) -> Message:
    """Return the message that a text holds; raise UsageError, which begins with `name`, where it is invalid."""
    return Message(name, _Parser(name, text).fields(end="", depth=0))


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Parser:
    """One pass over the tokens; `_next` is the one that is looked at."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._tokens = self._tokenized(text)
        self._next = next(self._tokens)

    def fields(self, end: str, depth: int) -> Fields:
        """Read the fields of a message up to the sign `end`, or to the end of the file."""
        if depth > DEEPEST:
            raise self._error("fewer messages within each other")
        found: Fields = {}
        while self._next.text != end or self._next.kind not in ("sign", "end"):
            key = self._take("word", "the name of a field").text
            colon = self._took(":")
            values = found.setdefault(key, [])
            if self._next.text == "[" and colon:
                self._take("sign", "[")
                while not self._took("]"):
                    values.append(self._value(colon, depth))
                    if self._next.text != "]":
                        self._take_sign(",", "',' or ']'")
            else:
                values.append(self._value(colon, depth))
            if not self._took(";"):
                self._took(",")
        return found

    def _value(self, colon: bool, depth: int) -> str | float | Message:
        """Read a message, or after a colon a number, a word, or texts that follow each other and are one."""
        if self._next.kind == "sign" and self._next.text in _PAIRS:
            end = _PAIRS[self._take("sign", "{").text]
            inner = Message("", self.fields(end, depth + 1))
            self._take_sign(end, repr(end))
            return inner
        if not colon:
            raise self._error("':' or '{' after the name of a field")
        if self._next.kind == "string":
            parts = []
            while self._next.kind == "string":
                parts.append(_unquoted(self._take("string", "a text").text))
            return "".join(parts)
        if self._next.kind == "word":
            return self._take("word", "a value").text
        number = float(self._take("number", "a value").text.rstrip("fF"))
        if not isfinite(number):
            raise self._error("finite numbers")
        return number

    def _take(self, kind: str, wanted: str) -> _Token:
        if self._next.kind != kind:
            raise self._error(wanted)
        taken = self._next
        self._next = next(self._tokens)
        return taken

    def _take_sign(self, sign: str, wanted: str) -> None:
        if not self._took(sign):
            raise self._error(wanted)

    def _took(self, sign: str) -> bool:
        """Take the next token if it is this sign; return whether it was."""
        if (self._next.kind, self._next.text) != ("sign", sign):
            return False
        self._take("sign", sign)
        return True

    def _error(self, wanted: str) -> UsageError:
        found = "the end of the file" if self._next.kind == "end" else repr(self._next.text[:40])
        return UsageError(f"{self._name}, line {self._next.line}: expected {wanted}, but found {found}; correct it")

    def _tokenized(self, text: str) -> Iterator[_Token]:
        position, line = 0, 1
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                self._next = _Token("other", text[position:].split("\n")[0], line)
                raise self._error("a field of a prototxt file")
            if match.lastgroup != "space":
                yield _Token(str(match.lastgroup), match.group(), line)
            line += match.group().count("\n")
            position = match.end()
        while True:
            yield _Token("end", "", line)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[1]), text[1:-1])
