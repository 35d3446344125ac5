"""The rows of a Parquet file that lists images, batch by batch, in the form of the lines of a CSV."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune.data.list_lines import OPTIONAL, TableLine, column_names, table_line
from finetune.errors import DataError, UsageError
from finetune.system.extras import needs

_BATCH = 8192  # rows that are held at once
_BUFFER = 1 << 20  # bytes of a column that are read at once, instead of all of it


def parquet_lines(path: Path, needed: Sequence[str], others: bool) -> Iterator[TableLine]:
    """Yield the rows of a Parquet file with the columns `needed`, none of which is empty; numbers start at 1.

    Only these columns are read, with those that belong to a label, or with `others` all that can be text, except bytes,
    which may be images. Numbers become text; no value is an empty cell. If the rest cannot be read, that is the fault
    of the last row. Raises OSError if the file cannot be opened, DataError if it has no such columns, UsageError
    without pyarrow.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError(f"reading {path} {needs('pyarrow')}, or save the list as CSV") from None
    number = 0
    with path.open("rb") as file:
        try:
            table = parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
            schema = table.schema_arrow
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as Parquet ({_short(error)}); write it again") from None
        names = column_names(schema.names, needed)
        if not set(needed) <= set(names):
            columns = "a column" if len(needed) == 1 else "columns"
            found = ascii(", ".join(schema.names))[:200]
            raise DataError(f"{path}: expected {columns} named {' and '.join(needed)}, found {found}; rename them")
        ours = {*needed, *(OPTIONAL if "label" in needed else ())}
        header: dict[str, str] = {}  # our name -> the file's
        for name, field in zip(names, schema, strict=True):
            if name in ours and not _is_text(field.type):
                raise DataError(f"{path}: the column {name} is {field.type}, expected text or numbers; convert it")
            is_only = names.count(name) == 1
            if name in ours and not is_only:
                raise DataError(f"{path}: expected one column named {name}, found several; rename the others")
            if name in ours or (others and is_only and _is_text(field.type) and not _is_bytes(field.type)):
                header[name] = field.name
        try:
            for batch in table.iter_batches(_BATCH, columns=list(header.values()), use_threads=False):
                cells = [_texts(batch.column(name)) for name in header.values()]
                for row in zip(*cells, strict=True):
                    number += 1
                    yield table_line(number, tuple(header), row, needed)
        except (pa.ArrowException, OSError) as error:
            yield TableLine(number + 1, {}, f"the rest cannot be read as Parquet ({_short(error)})")


def _is_text(kind: Any) -> bool:
    """Return whether values of an Arrow type can be cells."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return not types.is_nested(kind)


def _is_bytes(kind: Any) -> bool:
    """Return whether values of an Arrow type are bytes: names as some writers leave them, but also whole images."""
    from pyarrow import types

    is_one = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(is_kind(kind) for is_kind in is_one)


def _texts(column: Any) -> list[str]:
    """Return the values of an Arrow array as text; bytes that are not UTF-8 are kept as they are, as in file names."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column if _is_bytes(column.type) else column.cast(pa.string())
    as_bytes = column.cast(pa.large_binary()).to_pylist()
    return ["" if value is None else value.decode("utf-8", "surrogateescape") for value in as_bytes]


def _short(error: Exception) -> str:
    """Return the first line of a message of Arrow."""
    return str(error).partition("\n")[0][:200]
