"""The store: whole segments, found again by key, damaged ones never trusted."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from finetune.training.store import FeatureStore, Key, remove_unused


def key(number: int, view: int = 0) -> Key:
    return Key(f"{number:064x}", view, "float32")


def test_rows_are_read_back_in_any_order(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for number in range(5):
        store.keep([key(number)], np.full((2, 3), number + 0.1, np.float32)[None])
        store.keep([key(number, view=7)], np.full((2, 3), -number, np.float32)[None])
    assert key(3) not in store, "not before it is on disk"
    store.flush()
    for opened in (store, FeatureStore(tmp_path)):
        assert key(3) in opened
        assert key(5) not in opened
        rows = opened.rows([key(4), key(0, 7), key(4, 7), key(1)])
        assert len(rows) == 4
        batch = rows[np.array([3, 0, 2])]
        assert batch.dtype == np.float32
        np.testing.assert_allclose(batch[:, 0, 0], [1.1, 4.1, -4], rtol=1e-3)


def test_views_have_large_numbers(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    views = [1, 2**31, 2**56 - 1]
    for view in views:
        store.keep([key(0, view)], np.full(3, view % 1000, np.float32)[None])
    store.flush()
    rows = FeatureStore(tmp_path).rows([key(0, view) for view in views])
    np.testing.assert_array_equal(rows[np.arange(3)][:, 0], [1, 648, 935])


def test_precision_is_part_of_the_key(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    exact, fast = key(0), key(0)._replace(precision="bfloat16")
    store.keep([exact], np.zeros(3, np.float32)[None])
    store.flush()
    assert fast not in store
    store.keep([fast], np.ones(3, np.float32)[None])
    store.flush()
    np.testing.assert_array_equal(FeatureStore(tmp_path).rows([fast, exact])[np.arange(2)][:, 0], [1, 0])


def test_values_too_large_for_float16_stay_float32(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.keep([key(0)], np.array([70000.0, 1e-9], np.float32)[None])
    store.flush()
    np.testing.assert_array_equal(store.rows([key(0)])[np.array([0])], np.array([[70000.0, 1e-9]], np.float32))


def test_every_finite_float16_is_read_to_the_bits_that_numpy_gives(tmp_path: Path) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    every = every[np.isfinite(every).all(axis=1)].astype(np.float32)
    assert len(every) == 248, "8 of 256 rows are infinite or not a number"
    store = FeatureStore(tmp_path)
    store.keep([key(number) for number in range(len(every))], every)
    store.flush()
    (segment,) = tmp_path.glob("*.npy")
    assert np.load(segment)["row"].dtype == np.float16
    rows = store.rows([key(number) for number in range(len(every))])[np.arange(len(every))]
    np.testing.assert_array_equal(rows.view(np.uint32), every.view(np.uint32))  # -0 and subnormal numbers too


def test_rows_of_many_segments_are_read_in_any_order(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for number in range(7):
        store.keep([key(number), key(number, view=1)], np.array([[number, 0], [number, 1]], np.float32))
        if number in (0, 3, 4):
            store.flush()
    store.flush()
    order = np.random.default_rng(0).permutation(14)
    rows = store.rows([key(number, view) for number in range(7) for view in (0, 1)])
    np.testing.assert_array_equal(rows[order], np.stack([order // 2, order % 2], axis=1))


def test_more_segments_than_files_may_usually_be_open(tmp_path: Path) -> None:
    """Each is a mapped file; a million images have thousands. In a process of its own, with a limit of 64 at first."""
    program = """
import resource, sys
from pathlib import Path
import numpy as np
from finetune.training.store import FeatureStore, Key
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
store = FeatureStore(Path(sys.argv[1]))
keys = [Key(f"{number:064x}", 0, "float32") for number in range(100)]
for number, key in enumerate(keys):
    store.keep([key], np.full((1, 2), number, np.float32))
    store.flush()
for opened in (store, FeatureStore(Path(sys.argv[1]))):
    assert (opened.rows(keys)[np.arange(100)][:, 0] == np.arange(100)).all()
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert len(list(tmp_path.glob("*.npy"))) == 100


def test_pixels_stay_bytes(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    store.keep([key(0)], pixels[None])
    store.flush()
    batch = store.rows([key(0)])[np.array([0])]
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[0], pixels)


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "keys", "size", "value", "renamed", "foreign"])
def test_a_damaged_segment_is_removed_and_the_rest_stays(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path)
    store.keep([key(0)], np.zeros(4, np.float32)[None])
    store.flush()
    (segment,) = tmp_path.glob("*.npy")
    store.keep([key(1)], np.ones(4, np.float32)[None])
    store.flush()
    content = segment.read_bytes()
    if damage == "renamed":
        segment = segment.rename(tmp_path / f"{'0' * 64}.npy")
    elif damage == "foreign":
        np.save(segment, np.zeros(3))
    else:
        broken = {
            "cut": content[:-5],
            "empty": b"",
            "header": content[:20] + b"}{" + content[22:],
            "size": content.replace(b"'shape': (1,), }" + b" " * 40, b"'shape': (3" + b"0" * 40 + b",), }"),
            "keys": content.replace(b"'shape'", b"b'shap'"),  # found by fuzzing: NumPy sorts them without a look
        }
        segment.write_bytes(broken.get(damage, content[:-1] + b"\x77"))
    reopened = FeatureStore(tmp_path)
    assert key(0) not in reopened
    assert key(1) in reopened
    assert not segment.exists()


def test_an_unfinished_segment_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".abc.npy.xyz.part").write_bytes(b"half")
    FeatureStore(tmp_path)
    assert (tmp_path / ".abc.npy.xyz.part").exists(), "it may be another process's"


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    first, second = FeatureStore(tmp_path), FeatureStore(tmp_path)
    for store, number in ((first, 0), (second, 1), (second, 0)):
        store.keep([key(number)], np.full(3, number, np.float32)[None])
        store.flush()
    store = FeatureStore(tmp_path)
    np.testing.assert_array_equal(store.rows([key(0), key(1)])[np.array([0, 1])], [[0, 0, 0], [1, 1, 1]])


def test_the_longest_unused_stores_go_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "older", "oldest", "mine")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "segment.npy").write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    remove_unused([tmp_path / "mine"], limit=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "new"]
    remove_unused([tmp_path / "mine"], limit=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"], "never the one in use"


def test_all_stores_of_a_training_stay(tmp_path: Path) -> None:
    for name in ("first", "second", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "segment.npy").write_bytes(bytes(100))
    os.utime(tmp_path / "first", (1, 1))  # used before the others, and larger than the limit
    remove_unused([tmp_path / "second", tmp_path / "first"], limit=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_half_written_files_go_after_a_day(tmp_path: Path) -> None:
    for age, name in ((90_000, ".killed.part"), (80_000, ".being written.part"), (90_000, "segment.npy")):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(bytes(100))
        os.utime(tmp_path / "mine" / name, (time.time() - age, time.time() - age))
    remove_unused([tmp_path / "mine"])
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [".being written.part", "segment.npy"]


def test_files_that_another_process_removes_are_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has gone between the listing and the look at it, and a store, and all of the cache."""
    for name in ("mine", "other", "old"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.npy").write_bytes(bytes(100))
    os.utime(tmp_path / "old", (1, 1))
    stat = Path.stat

    def gone(path: Path, **options: bool) -> os.stat_result:
        if path in (tmp_path / "mine" / "1.npy", tmp_path / "other"):
            raise FileNotFoundError(path)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", gone)
    remove_unused([tmp_path / "mine"], limit=150)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "other"]
    remove_unused([tmp_path / "nowhere" / "store"])
