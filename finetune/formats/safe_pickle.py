"""Pickles read as plain data: numbers, text, tuples, lists, dictionaries and the few globals the caller admits.

Python's own unpickler calls whatever a file names, allocates what a file claims and copies every array. This one
builds values opcode by opcode, implements only the opcodes that weights need, and keeps long byte strings as views of
the file. The opcodes are those that NumPy and PyTorch write (protocols 2 to 5, and Python 2's protocol 2); Python's
Lib/pickletools.py explains each of them.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

from finetune.errors import WeightsError

Admitted = Mapping[tuple[str, str], Any]

_MAX_OPCODES = 100_000  # VGG16's state dict has 1,100; each opcode may cost some 60 bytes of memory
_LONG = 4096  # bytes; longer byte strings are arrays, not names, and are not copied
_LONG_TEXT = 1 << 20  # bytes; Python 3 writes the bytes of arrays as text in protocol 2
_OF_MODELS = ("torch.nn.", "torchvision.", "timm.", "__main__")  # modules of the classes of models
_MAX_LINE = 4096  # a line holds a module, a name or an integer


def load_pickle(
    name: str, data: bytes | memoryview, admitted: Admitted, persistent_load: Callable[[Any], Any] | None = None
) -> tuple[Any, int]:
    """Return the value that the pickle at the start of `data` describes, and the number of bytes it takes.

    `admitted` maps (module, name) to its replacement here; only these can be called, and nothing is imported.
    `persistent_load` gets the persistent identifiers in the pickle; without it they are refused. An object with
    `__setstate__` gets its state; attributes of dictionaries are dropped. Python 2's strings and bytes become bytes,
    from 4,096 on views of `data`. Keys are str, bytes or int. Raises WeightsError that begins with `name` for
    everything else.
    """
    machine = _Machine(name, memoryview(data), admitted, persistent_load)
    try:
        return machine.run(), machine.position
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
        raise WeightsError(
            f"{name}: its pickle is truncated or damaged at byte {machine.position:,}; get a new copy of the file"
        ) from None


def ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """Stand in for collections.OrderedDict, which Python 2 pickles with its items as a list of pairs."""
    pairs = [(key, value) for key, value in items if isinstance(key, str | bytes | int)]
    if len(pairs) != len(items):
        raise TypeError("a key of another type")
    return dict(pairs)


class _Machine:
    """The pickle machine: the stack, the marks in it and the memo, as in Python's unpickler."""

    def __init__(
        self, name: str, data: memoryview, admitted: Admitted, persistent_load: Callable[[Any], Any] | None
    ) -> None:
        self.name, self.data, self.admitted, self.persistent_load = name, data, admitted, persistent_load
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}  # a dictionary, so that an index of 4 billion costs no more than an index of 4

    def run(self) -> Any:
        """Return the top of the stack at the first STOP."""
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
                found = known.get(opcode.decode("latin-1"), f"byte 0x{opcode.hex()}")
                raise WeightsError(
                    f"{self.name}: refused: its pickle uses {found} at byte {self.position - 1:,}, which weights do "
                    "not need; save the weights again as a plain dictionary of arrays"
                )
        raise WeightsError(
            f"{self.name}: refused: its pickle has more than {_MAX_OPCODES:,} steps, and weights need a few thousand; "
            "choose another file"
        )

    def take(self, size: int) -> memoryview:
        """Return the next `size` bytes as a view."""
        if not 0 <= size <= len(self.data) - self.position:
            raise ValueError("the data ends earlier")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, form: str) -> Any:
        """Return the next number, in a format of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, form: str) -> str | memoryview:
        """Return text that its length in bytes precedes; long text as a view of its UTF-8."""
        found = self.take(self.number(form))
        return found if len(found) >= _LONG_TEXT else str(found, "utf-8", "surrogatepass")

    def byte_string(self, form: str) -> bytes | memoryview:
        """Return bytes that their length precedes; many bytes as a view."""
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
        """Return a number written as text; protocols 0 and 1 write False and True as 00 and 01."""
        line = self.line()
        return line == "01" if line in ("00", "01") else int(line)

    def long(self, form: str) -> int:
        """Return a two's complement integer that its length in bytes precedes."""
        return int.from_bytes(self.take(self.number(form)), "little", signed=True)

    def marked(self) -> list[Any]:
        """Remove and return everything above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        """Remove and return the last `count` values."""
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
        # Tuples are refused as keys: hashing nested ones can take forever.
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str | bytes | int) for key in keys):
            raise TypeError("not a dictionary, or a key of another type")
        self.stack[-1].update(zip(keys, values, strict=True))

    def lookup(self, module: Any, name: Any) -> Any:
        """Return the replacement of a global; raise WeightsError with its name if it is not admitted."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global without a name")
        if (module, name) not in self.admitted:
            asked = ascii(f"{module}.{name}"[:100])[1:-1]
            if module.startswith(_OF_MODELS):
                raise WeightsError(
                    f"{self.name}: refused: it is a whole model, not its weights: its pickle asks for {asked}, which "
                    "could run code; nothing was run; save model.state_dict() instead, where the model can be loaded"
                )
            raise WeightsError(
                f"{self.name}: refused: its pickle asks for {asked}, which weights "
                "do not need and which could run code; nothing was run; get the file from a source you trust"
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
        """Replace a persistent identifier by the caller's object."""
        if self.persistent_load is None:
            raise WeightsError(
                f"{self.name}: refused: its pickle points to data outside itself, which arrays never do; get the file "
                "from a source you trust"
            )
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

# Opcodes that change the stack, the marks or the memo in another way.
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
