"""Hundreds of damaged files, the same in every run: each is refused with one line, or is read correctly.

fuzz_readers.py fuzzes longer, guided by coverage.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.readers import RUN_FILES, Reader, allowed, read_run, readers, write_run

from finetune.errors import FinetuneError


def fixed(count: int) -> settings:
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


NUMBERS = [  # that claim something false in many formats
    bytes(4),
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    bytes(8),
    b"\xff" * 8,
    b"\x80",
    b"\n",
    b'"',
    b"{",
    b"[",
    b",",
    b"PK",
]
ODD: list[Any] = [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "x", "a\0b", [], {}, [[]], "<script>", {"a": {}}]

EXAMPLES = {  # reader -> damaged files; fewer where reading one takes longer
    "image": 300, "weights": 250, "model": 150, "list": 200, "csv": 200, "config": 200, "cache": 100, "idx": 150,
}  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, seeds: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name of a sound file and its content with one to four faults."""
    name = draw(st.sampled_from(sorted(seeds)))
    data = bytearray(seeds[name])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)) | st.integers(0, min(len(data), 100)))  # most often in the header
        length = draw(st.integers(0, 30))
        match draw(st.sampled_from(["flip", "overwrite", "cut", "remove", "insert", "repeat"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "overwrite":
                number = draw(st.sampled_from(NUMBERS))
                data[at : at + len(number)] = number
            case "cut":
                del data[at:]
            case "remove":
                del data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(max_size=20))
            case "repeat":
                data[at:at] = data[at : at + length] * draw(st.sampled_from([1, 2, 100]))
    return name, bytes(data)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return readers(tmp_path_factory.mktemp("readers"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", EXAMPLES)
def test_damaged_files(
    name: str, table: dict[str, Reader], tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "finetune")  # warnings quote names that are not UTF-8, which xdist cannot send
    read, seeds = table[name]
    folder = tmp_path_factory.mktemp(name)
    for seed, content in seeds.items():
        (folder / seed).write_bytes(content)
        with allowed():
            read(folder / seed)
        (folder / seed).unlink(missing_ok=True)

    @fixed(EXAMPLES[name])
    @given(damaged(seeds))
    def check(case: tuple[str, bytes]) -> None:
        path = folder / case[0]
        path.write_bytes(case[1])
        with allowed():
            read(path)
        path.unlink(missing_ok=True)

    check()


@pytest.mark.slow
def test_run_directories_edited_by_hand(tmp_path: Path) -> None:
    """Any file of a run is damaged: reading it is refused with one line, and no file of the run changes."""
    run = write_run(tmp_path / "run")
    sound = {name: (run.path / name).read_bytes() for name in RUN_FILES}

    @fixed(30)
    @given(damaged(sound))
    def check(case: tuple[str, bytes]) -> None:
        name, content = case
        (run.path / name).write_bytes(content)
        with allowed():
            read_run(run.path)
        assert (run.path / name).read_bytes() == content
        (run.path / name).write_bytes(sound[name])

    check()


def places(node: Any) -> list[tuple[Any, ...]]:
    """Return the path to every part of a JSON value; of a list, only to its first element."""
    if isinstance(node, dict):
        parts = list(node.items())
    else:
        parts = list(enumerate(node))[:1] if isinstance(node, list) else []
    return [(), *((key, *way) for key, part in parts for way in places(part))]


def replaced(node: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[way[0]] = replaced(copy[way[0]], way[1:], value)
    return copy


@pytest.mark.slow
def test_json_of_a_run_with_values_of_another_kind(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    sound = {name: json.loads((run.path / name).read_bytes()) for name in RUN_FILES if name.endswith(".json")}
    ways = [(name, way) for name, content in sound.items() for way in places(content)]

    @fixed(30)
    @given(st.sampled_from(ways), st.sampled_from(ODD))
    def check(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
        name, way = place
        (run.path / name).write_text(json.dumps(replaced(sound[name], way, value)))
        with allowed():
            read_run(run.path)
        (run.path / name).write_text(json.dumps(sound[name]))

    check()
    page = (run.path / "report.html").read_text()
    assert "<script" not in page


def test_a_run_without_one_of_its_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for name in RUN_FILES:
        shutil.move(run.path / name, tmp_path / "away")
        if name in ("model.safetensors", "metrics.json", "manifest.csv", "classes.txt", "skipped.csv", "history.csv"):
            with pytest.raises(FinetuneError, match=name):
                read_all(run.path)
        else:
            with allowed():
                read_run(run.path)
        shutil.move(tmp_path / "away", run.path / name)


def read_all(path: Path) -> None:
    from finetune.evaluation.report import write_report

    write_report(path)
