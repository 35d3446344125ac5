"""Fuzz one reader, guided by coverage: python tests/hardening/fuzz_readers.py weights -max_total_time=600

Needs atheris. The options after the reader's name are libFuzzer's; an input that fails is stored as crash-... in the
current folder, and `python tests/hardening/fuzz_readers.py weights crash-...` reads it again.
"""

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["finetune", "PIL"]):
    from support.readers import RUN_FILES, allowed, read_run, readers, write_run


def target(reader: str, folder: Path) -> tuple[Callable[[bytes], None], dict[str, bytes]]:
    """Return a function that reads an input, and valid inputs; for a run, a byte with the file's number comes first."""
    if reader == "run":
        run = write_run(folder / "run")
        sound = {name: (run.path / name).read_bytes() for name in RUN_FILES}

        def read_edited_run(data: bytes) -> None:
            name = RUN_FILES[data[0] % len(RUN_FILES)] if data else RUN_FILES[0]
            (run.path / name).write_bytes(data[1:])
            with allowed():
                read_run(run.path)
            (run.path / name).write_bytes(sound[name])

        numbered = {f"run-{number}": bytes([number]) + sound[name] for number, name in enumerate(RUN_FILES)}
        return read_edited_run, numbered
    read, seeds = readers(folder)[reader]
    (folder / "read").mkdir()
    # A segment of the cache is found by its name, everything else by its content.
    path = folder / "read" / (next(iter(seeds)) if reader == "cache" else "list.csv" if reader == "csv" else "file")

    def read_file(data: bytes) -> None:
        path.write_bytes(data)
        with allowed():
            read(path)

    return read_file, dict(seeds)


def main(reader: str, options: list[str]) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        logging.getLogger("finetune").setLevel(logging.ERROR)
        folder = Path(name)
        read, seeds = target(reader, folder)
        corpus = folder / "corpus"
        corpus.mkdir()
        for seed, content in seeds.items():
            (corpus / seed).write_bytes(content)
        files = [option for option in options if not option.startswith("-")]
        atheris.Setup([sys.argv[0], *options, *([] if files else [str(corpus)])], read)
        atheris.Fuzz()


main(sys.argv[1], sys.argv[2:])
