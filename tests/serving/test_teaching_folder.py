"""A folder of classes that a page changes: every change is whole, nothing is lost, and a hand may edit it too."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.drawn_photos import encoded, photo

from finetune.data.read_data import read_data
from finetune.errors import DataError, ImageError, RunError, UsageError
from finetune.serving.teaching_folder import DELETED, NotInFolderError, TeachingFolder, held_folder
from finetune.system.digest import sha256


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[TeachingFolder]:
    with held_folder(tmp_path / "images") as held:
        held.add_class("ants")
        held.add_class("bees")
        yield held


def files(folder: TeachingFolder) -> list[str]:
    return sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*.jpg"))


def test_images_are_named_after_their_content_and_the_newest_comes_first(folder: TeachingFolder) -> None:
    added = [folder.add("ants", encoded(photo(number))) for number in range(3)]
    assert [new for _, new in added] == [True] * 3
    names = [name for name, _ in added]
    assert all(name == f"ants/{sha256(folder.image(name).read_bytes())[:32]}.jpg" for name in names)
    for age, name in enumerate(reversed(names)):
        os.utime(folder.image(name), (1000 - age, 1000 - age))
    assert folder.newest("ants", most=2) == names[:0:-1]
    assert folder.classes() == {"ants": 3, "bees": 0}
    assert [name for name, _ in folder.images()] == sorted(names)


def test_the_same_bytes_are_one_image_also_as_they_are_stored(folder: TeachingFolder) -> None:
    name, _ = folder.add("ants", encoded(photo(0), ".png"))
    assert folder.add("ants", encoded(photo(0), ".png")) == (name, False)
    assert folder.add("ants", folder.image(name).read_bytes()) == (name, False)
    with pytest.raises(DataError, match="the image is in class 'ants' already; move it from there"):
        folder.add("bees", encoded(photo(0), ".png"))
    assert files(folder) == [name]


def test_what_cannot_be_read_leaves_nothing(folder: TeachingFolder) -> None:
    with pytest.raises(ImageError, match="not an image"):
        folder.add("ants", b"words")
    with pytest.raises(NotInFolderError, match="there is no class 'wasps' here; it may have been renamed"):
        folder.add("wasps", encoded(photo(0)))
    assert list((folder.path / "ants").iterdir()) == []


def test_relabel_moves_an_image_and_never_onto_another(folder: TeachingFolder) -> None:
    for name, number in (("ants", 0), ("bees", 1)):
        (folder.path / name / "1.jpg").write_bytes(encoded(photo(number)))
    assert folder.relabel("ants/1.jpg", "bees") == "bees/1-2.jpg"
    assert folder.relabel("bees/1-2.jpg", "bees") == "bees/1-2.jpg"
    assert (folder.path / "bees/1-2.jpg").read_bytes() == encoded(photo(0))
    assert (folder.path / "bees/1.jpg").read_bytes() == encoded(photo(1))


def test_what_is_deleted_can_be_moved_back_by_hand(folder: TeachingFolder) -> None:
    name, _ = folder.add("ants", encoded(photo(0)))
    folder.delete(name)
    assert folder.classes()["ants"] == 0
    assert (folder.path / DELETED / name).exists()
    folder.add("ants", encoded(photo(0)))
    folder.delete(name)
    assert len(list((folder.path / DELETED / "ants").iterdir())) == 2, "a second one with its name does not replace it"
    folder.delete_class("ants")
    assert folder.classes() == {"bees": 0}
    (folder.path / DELETED / name).rename(folder.path / "bees" / "back.jpg")
    assert folder.classes() == {"bees": 1}


def test_a_class_is_renamed_with_its_images(folder: TeachingFolder) -> None:
    folder.add("ants", encoded(photo(0)))
    assert folder.rename_class("ants", " Ants ") == "Ants"
    assert folder.classes() == {"Ants": 1, "bees": 0}
    with pytest.raises(UsageError, match="there is a class 'bees' already; choose another name"):
        folder.rename_class("Ants", "BEES")


def test_one_class_in_two_spellings_is_one(folder: TeachingFolder) -> None:
    for name, number in (("ants ", 1), ("ants", 2)):
        (folder.path / name).mkdir(exist_ok=True)
        (folder.path / name / "1.jpg").write_bytes(encoded(photo(number)))
    assert folder.classes() == {"ants": 2, "bees": 0}
    assert sorted(folder.newest("ants", 9)) == ["ants /1.jpg", "ants/1.jpg"]
    folder.rename_class("ants", "wasps")
    assert sorted(folder.newest("wasps", 9)) == ["wasps/1-2.jpg", "wasps/1.jpg"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a class needs a name of one line; enter one"),
        (" \t", "a class needs a name of one line; enter one"),
        ("a\nb", "a class needs a name of one line; enter one"),
        ("../up", "has the character '/', which a folder's name cannot have; remove it"),
        ("a\\b", r"has the character '\\\\', which a folder's name cannot have; remove it"),
        ("a\0b", r"has the character '\\x00', which a folder's name cannot have; remove it"),
        ("what?", "has the character '\\?', which a folder's name cannot have; remove it"),
        ("..", "is the name of a hidden folder, or ends with a dot; choose another"),
        (".deleted", "is the name of a hidden folder, or ends with a dot; choose another"),
        ("__MACOSX", "is the name of a hidden folder, or ends with a dot; choose another"),
        ("Train", "'Train' is the name of a split of the data, not of a class; choose another"),
        ("ANTS", "there is a class 'ants' already; choose another name"),
        ("x" * 61, "the name has 61 characters; expected at most 60; shorten it"),
        ("\udce9", r"has the character '\\\\', which"),
    ],
)
def test_names_that_cannot_be_used(folder: TeachingFolder, name: str, message: str) -> None:
    before = sorted(folder.path.parent.rglob("*"))
    with pytest.raises(UsageError, match=message):
        folder.add_class(name)
    assert sorted(folder.path.parent.rglob("*")) == before


@pytest.mark.parametrize("name", ["Bärlauch 🌿", "é", "100 %", "a+b #1", "x" * 60, "試" * 60])
def test_names_that_can(folder: TeachingFolder, name: str) -> None:
    assert folder.add_class(name) == name
    image, _ = folder.add(name, encoded(photo(0)))
    assert folder.image(image).exists()


@pytest.mark.parametrize(
    "image",
    ["", "ants/", "ants/../../secret.jpg", "../secret.jpg", "/etc/passwd", "ants//1.jpg", "ants/.hidden.jpg",
     "ants/./1.jpg", "ants\\1.jpg", "ants/1.jpg\0", ".deleted/ants/1.jpg", "secret.jpg", "wasps/1.jpg",
     "ants/notes.txt", "ants/gone.jpg", f"ants/{'x' * 300}.jpg", "ants"],
)  # fmt: skip
def test_only_images_in_the_classes_can_be_named(folder: TeachingFolder, image: str) -> None:
    for path in ("ants/1.jpg", "ants/.hidden.jpg", ".deleted/ants/1.jpg", "secret.jpg", "../secret.jpg"):
        (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / path).write_bytes(encoded(photo(0)))
    (folder.path / "ants/notes.txt").write_text("words")
    for change in (folder.image, folder.delete, lambda name: folder.relabel(name, "bees")):
        with pytest.raises(NotInFolderError, match=r"there is no image .* here; it may have been deleted or moved"):
            change(image)


def test_while_a_training_reads_the_images_they_stay_and_new_ones_may_come(folder: TeachingFolder) -> None:
    name, _ = folder.add("ants", encoded(photo(0)))
    folder.hold_for_training(True)
    for change in (
        lambda: folder.delete(name),
        lambda: folder.relabel(name, "bees"),
        lambda: folder.rename_class("ants", "wasps"),
        lambda: folder.delete_class("ants"),
    ):
        with pytest.raises(DataError, match="while a training reads the images; wait until it is done"):
            change()
    folder.add("ants", encoded(photo(1)))
    folder.hold_for_training(False)
    folder.delete(name)
    assert folder.classes()["ants"] == 1


def test_thirty_at_once(folder: TeachingFolder) -> None:
    """Each adds the same ten images and one of its own; and two classes compete for another one."""
    same = [encoded(photo(number)) for number in range(10)]
    wanted = [("ants", data) for _ in range(30) for data in same]
    wanted += [("bees", encoded(photo(100 + client))) for client in range(30)]
    with ThreadPoolExecutor(30) as pool:
        added = list(pool.map(lambda one: folder.add(*one), wanted))
        competing = list(pool.map(lambda name: try_to_add(folder, name, encoded(photo(99))), ["ants", "bees"] * 15))
    assert sum(new for _, new in added) == 40
    assert len(files(folder)) == 41
    assert sum(competing) == 15, "the class that was first has it"
    assert not list(folder.path.rglob("*.part"))


def try_to_add(folder: TeachingFolder, name: str, data: bytes) -> bool:
    try:
        folder.add(name, data)
    except DataError:
        return False
    return True


ADD = """
import sys
from pathlib import Path
from support.drawn_photos import encoded, photo
from finetune.serving.teaching_folder import held_folder
with held_folder(Path(sys.argv[1])) as folder:
    for number in range(10_000):
        name, _ = folder.add("ants", encoded(photo(number, 60, 80)))
        print(name, flush=True)
"""


def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path) -> None:
    """What it said it added is there and whole; what was half-written goes when the folder is opened again."""
    with held_folder(tmp_path) as folder:
        folder.add_class("ants")
    said: list[str] = []
    for seconds in (0.02, 0.05, 0.11):
        command = [sys.executable, "-c", ADD, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout
            said.append(process.stdout.readline())
            time.sleep(seconds)
            process.kill()
            said += process.stdout.readlines()
    (tmp_path / "ants" / ".x.jpg.y.part").write_bytes(b"half")
    with held_folder(tmp_path) as folder:
        assert {name.strip() for name in said if name.endswith("\n")} <= {name for name, _ in folder.images()}
        assert not list(tmp_path.rglob("*.part"))
        for name, path in folder.images():
            assert name == f"ants/{sha256(path.read_bytes())[:32]}.jpg"


def test_training_reads_the_same_classes(folder: TeachingFolder) -> None:
    for name, numbers in (("ants", range(3)), ("bees", range(3, 6))):
        for number in numbers:
            folder.add(name, encoded(photo(number)))
    folder.delete(folder.newest("ants", 1)[0])
    dataset = read_data(folder.path)
    assert dataset.class_names == ("ants", "bees")
    assert sorted(record.path for record in dataset.records) == [path for _, path in folder.images()]


def test_a_second_process_is_refused(folder: TeachingFolder) -> None:
    with pytest.raises(RunError, match=r"another finetune teach has .* open; use its page, or name another folder"):
        held_folder(folder.path).__enter__()


def test_folders_that_cannot_be_taught_from(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"but .*file is a file; name a folder"):
        held_folder(tmp_path / "file").__enter__()
    for split in ("train", "val"):
        (tmp_path / "data" / split / "ants").mkdir(parents=True)
    with pytest.raises(DataError, match="holds splits or lists of images, which the page cannot change"):
        held_folder(tmp_path / "data").__enter__()
