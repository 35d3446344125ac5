"""The containers that people put weights into, as one list of names and values: dictionaries in dictionaries, lists."""

from collections.abc import Callable, Iterator
from typing import Any

from finetune.errors import WeightsError

_MOST = 10_000  # entries; lists that share lists could stand for billions
_MAX_DEPTH = 8  # a list may contain itself


def entries(file: str, root: Any, opened: Callable[[Any], Any] = lambda value: value) -> Iterator[tuple[str, Any]]:
    """Yield the name (`conv1/kernel`) and the value of everything that is not a container, in the file's order.

    Containers are dictionaries, lists of names with a value each, [kernel, bias], and other lists, whose values are
    called 0, 1, …; if they are arrays, each two of them. An empty one is yielded itself. `opened` turns containers of
    other kinds into one of these. Raises WeightsError that begins with `file` for too many entries.
    """
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    for _ in range(_MOST):
        if not pending:
            return
        path, value = pending.pop()
        value = opened(value)
        inside = _inside(value, opened) if len(path) < _MAX_DEPTH else []
        if path and not inside:
            yield "/".join(path), value
        pending += [((*path, name), item) for name, item in reversed(inside)]
    raise WeightsError(
        f"{file}: refused: it has more than {_MOST:,} entries, and weights need hundreds; choose another"
    )


def text(key: Any) -> str:
    """Return a name as text; Python 2 wrote it as bytes."""
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _inside(value: Any, opened: Callable[[Any], Any]) -> list[tuple[str, Any]]:
    """Return the names and values in a container; nothing for anything else."""
    if isinstance(value, dict):
        return [(text(key), item) for key, item in value.items()]
    if not isinstance(value, list | tuple):
        return []
    if all(isinstance(item, list | tuple) and len(item) in (2, 3) and _is_name(item[0]) for item in value):
        return [(text(name), rest[0] if len(rest) == 1 else rest) for name, *rest in value]
    if len(value) <= 2 and not any(isinstance(opened(item), dict | list | tuple) for item in value):
        return [(name, item) for name, item in zip(("kernel", "bias"), value, strict=False) if item is not None]
    if len(value) % 2 == 0 and all(hasattr(item, "shape") for item in value):  # what Keras' get_weights returns
        value = list(zip(value[::2], value[1::2], strict=True))
    return [(str(number), item) for number, item in enumerate(value)]


def _is_name(value: Any) -> bool:
    return isinstance(value, str | bytes)
