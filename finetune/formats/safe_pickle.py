"""Pickles read as plain data: numbers, text, tuples, lists, dictionaries and the few names the caller admits.

Python's own unpickler calls whatever a file names, allocates what a file claims and copies every array. This one
builds values opcode by opcode, knows no opcode that a weights file has no use for, and keeps long byte strings as
views of the file. The opcodes are those that NumPy and PyTorch write (protocol 2 to 5, Python 2's protocol 2); what
each one means stands in Python's Lib/pickletools.py.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

from finetune.errors import WeightsError

Admitted = Mapping[tuple[str, str], Any]

_MAX_OPCODES = 100_000  # VGG16's state dict has 1,100; each opcode may cost some 60 bytes of memory
_LONG = 4096  # byte strings from here on are arrays, not names, and are not copied
_LONG_TEXT = 1 << 20  # bytes; Python 3 writes the bytes of arrays as text in protocol 2
_MAX_LINE = 4096  # a line holds a module, a name or an integer


def load_pickle(
    name: str, data: bytes | memoryview, admitted: Admitted, persistent_load: Callable[[Any], Any] | None = None
) -> tuple[Any, int]:
    """Return the value that the pickle at the start of `data` describes, and the number of bytes it takes.

    `admitted` maps (module, name) to what stands for it here; only these can be called, and nothing is imported.
    Where `__setstate__` of such an object exists it receives the state; attributes of dictionaries are dropped.
    Python 2's strings and bytes come as bytes, those of 4,096 and more as views of `data`. Keys are str, bytes or int.
    Raises WeightsError that begins with `name` for everything else.
    """
    machine = _Machine(name, memoryview(data), admitted, persistent_load)
    try:
        return machine.run(), machine.position
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
        raise WeightsError(
            f"{name}: its pickle is truncated or damaged at byte {machine.position:,}; get the file again"
        ) from None


def ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """Stand for collections.OrderedDict, which Python 2 pickles with its items as a list of pairs."""
    pairs = [(key, value) for key, value in items if isinstance(key, str | bytes | int)]
    if len(pairs) != len(items):
        raise TypeError("a key that is none")
    return dict(pairs)


class _Machine:
    """The stack, the marks in it and the memo, as Python's unpickler has them."""

    def __init__(
        self, name: str, data: memoryview, admitted: Admitted, persistent_load: Callable[[Any], Any] | None
    ) -> None:
        self.name, self.data, self.admitted, self.persistent_load = name, data, admitted, persistent_load
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}  # a dictionary: an index of 4 billion costs no more than an index of 4

    def run(self) -> Any:
        """Return what lies on the stack at the first STOP."""
        for _ in range(_MAX_OPCODES):
            opcode = bytes(self.take(1))
            if opcode == pickle.STOP:
                return self.stack.pop()
            if opcode in _VALUES:
                self.stack.append(_VALUES[opcode](self))
            elif opcode in _ACTIONS:
                _ACTIONS[opcode](self)
            else:
                known = {code.code: code.name for code in pickletools.opcodes}
                what = known.get(opcode.decode("latin-1"), f"byte 0x{opcode.hex()}")
                raise WeightsError(
                    f"{self.name}: refused: its pickle uses {what} at byte {self.position - 1:,}, which no weights "
                    "need; save it again as a plain dictionary of arrays"
                )
        raise WeightsError(
            f"{self.name}: refused: its pickle has more than {_MAX_OPCODES:,} steps, where weights need some thousand"
        )

    def take(self, size: int) -> memoryview:
        """Return the next `size` bytes as a view."""
        if not 0 <= size <= len(self.data) - self.position:
            raise ValueError("the data ends first")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, form: str) -> Any:
        """Return the next number of `struct`'s form."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, form: str) -> str | memoryview:
        """Return text whose length in bytes comes first, as a view of its UTF-8 where it is long."""
        found = self.take(self.number(form))
        return found if len(found) >= _LONG_TEXT else str(found, "utf-8", "surrogatepass")

    def byte_string(self, form: str) -> bytes | memoryview:
        """Return bytes whose length comes first, as a view where they are long."""
        found = self.take(self.number(form))
        return found if len(found) >= _LONG else bytes(found)

    def line(self) -> str:
        """Return the text up to the end of the line."""
        line, newline, _ = bytes(self.data[self.position : self.position + _MAX_LINE]).partition(b"\n")
        if not newline:
            raise ValueError("no end of line")
        self.position += len(line) + 1
        return line.decode("utf-8")

    def integer(self) -> int | bool:
        """Return a number written as text; 00 and 01 are how protocols 0 and 1 write False and True."""
        line = self.line()
        return line == "01" if line in ("00", "01") else int(line)

    def long(self, form: str) -> int:
        """Return a two's complement integer whose length in bytes comes first."""
        return int.from_bytes(self.take(self.number(form)), "little", signed=True)

    def marked(self) -> list[Any]:
        """Take off everything above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        """Take off the last `count` values."""
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) != count:
            raise IndexError("the stack is empty")
        del self.stack[len(self.stack) - count :]
        return items

    def extend(self, items: list[Any]) -> None:
        """Add items to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise TypeError("not a list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        """Add keys and values to the dictionary on top of the stack."""
        keys, values = items[::2], items[1::2]
        # Tuples are no keys here: hashing nested ones can take forever.
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str | bytes | int) for key in keys):
            raise TypeError("not a dictionary, or a key that is none")
        self.stack[-1].update(zip(keys, values, strict=True))

    def lookup(self, module: Any, name: Any) -> Any:
        """Return what stands for a global; refuse by name what was not admitted."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global without a name")
        if (module, name) not in self.admitted:
            raise WeightsError(
                f"{self.name}: refused: its pickle asks for {ascii(f'{module}.{name}'[:100])[1:-1]}, which weights "
                "do not need and which could run code; nothing of it was run, get the file from a source you trust"
            )
        return self.admitted[module, name]

    def reduce(self) -> None:
        """Call an admitted function with the arguments on the stack."""
        function, arguments = self.last(2)
        if not any(function is known for known in self.admitted.values()):
            raise TypeError("not a function")
        self.stack.append(function(*arguments))

    def build(self) -> None:
        """Give the object on top of the stack its state."""
        (state,) = self.last(1)
        if not isinstance(self.stack[-1], dict):
            self.stack[-1].__setstate__(state)

    def persistent(self) -> None:
        """Replace an identifier by what the caller has under it."""
        if self.persistent_load is None:
            raise WeightsError(f"{self.name}: refused: its pickle points to data outside itself, which arrays never do")
        self.stack.append(self.persistent_load(*self.last(1)))


# Opcodes that put one value on the stack.
_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.NONE: lambda m: None,
    pickle.NEWTRUE: lambda m: True,
    pickle.NEWFALSE: lambda m: False,
    pickle.INT: lambda m: m.integer(),  # Python 2 writes integers beyond 32 bits this way in every protocol
    pickle.BININT: lambda m: m.number("<i"),
    pickle.BININT1: lambda m: m.number("<B"),
    pickle.BININT2: lambda m: m.number("<H"),
    pickle.LONG1: lambda m: m.long("<B"),
    pickle.LONG4: lambda m: m.long("<i"),
    pickle.BINFLOAT: lambda m: m.number(">d"),
    pickle.SHORT_BINSTRING: lambda m: m.byte_string("<B"),
    pickle.BINSTRING: lambda m: m.byte_string("<i"),
    pickle.SHORT_BINBYTES: lambda m: m.byte_string("<B"),
    pickle.BINBYTES: lambda m: m.byte_string("<I"),
    pickle.BINBYTES8: lambda m: m.byte_string("<Q"),
    pickle.SHORT_BINUNICODE: lambda m: m.text("<B"),
    pickle.BINUNICODE: lambda m: m.text("<I"),
    pickle.BINUNICODE8: lambda m: m.text("<Q"),
    pickle.EMPTY_TUPLE: lambda m: (),
    pickle.EMPTY_LIST: lambda m: [],
    pickle.EMPTY_DICT: lambda m: {},
    pickle.TUPLE: lambda m: tuple(m.marked()),
    pickle.TUPLE1: lambda m: m.last(1),
    pickle.TUPLE2: lambda m: m.last(2),
    pickle.TUPLE3: lambda m: m.last(3),
    pickle.BINGET: lambda m: m.memo[m.number("<B")],
    pickle.LONG_BINGET: lambda m: m.memo[m.number("<I")],
    pickle.GLOBAL: lambda m: m.lookup(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.lookup(*m.last(2)),
}

# Opcodes that change what is there.
_ACTIONS: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: lambda m: m.take(1).release(),
    pickle.FRAME: lambda m: m.take(8).release(),
    pickle.MARK: lambda m: m.marks.append(len(m.stack)),
    pickle.POP: lambda m: m.stack.__delitem__(-1),
    pickle.BINPUT: lambda m: m.memo.__setitem__(m.number("<B"), m.stack[-1]),
    pickle.LONG_BINPUT: lambda m: m.memo.__setitem__(m.number("<I"), m.stack[-1]),
    pickle.MEMOIZE: lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    pickle.APPEND: lambda m: m.extend(list(m.last(1))),
    pickle.APPENDS: lambda m: m.extend(m.marked()),
    pickle.SETITEM: lambda m: m.update(list(m.last(2))),
    pickle.SETITEMS: lambda m: m.update(m.marked()),
    pickle.REDUCE: lambda m: m.reduce(),
    pickle.BUILD: lambda m: m.build(),
    pickle.BINPERSID: lambda m: m.persistent(),
}
