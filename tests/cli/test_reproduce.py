"""`finetune reproduce`: the list, the result next to the published one, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.training import reproduce
from finetune.training.plan import SourceWeights
from finetune.training.published_tables import TABLES
from finetune.training.reproduce import Reproduction, SplitResult

Finetune = Callable[..., tuple[int, str, str]]


def test_the_list_says_where_images_come_from(finetune: Finetune) -> None:
    code, out, err = finetune("reproduce", "list")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for table in TABLES.values():
        for text in (table.name, table.title, table.by, table.address, table.folder, f"{table.published} %"):
            assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("caltech101",),
         "--data is missing: expected 101_ObjectCategories, which has a folder for each class, from "
         "https://data.caltech.edu/records/mzrjq-6wc02; nothing is fetched"),
        (("flowers",), "there is no published result 'flowers' (did you mean flowers102?); there are caltech101 and "
         "flowers102"),
        (("caltech101", "--data", "images", "--out", "old.json"),
         "--out old.json exists; choose another name, or --overwrite to replace it"),
        (("caltech101", "--data", "none"),
         "expected a folder or list of images, but none does not exist; check its name"),
        (("flowers102", "--data", "none"),
         "expected jpg/, imagelabels.mat and setid.mat in none, but jpg is missing; get it from the same page"),
    ],
)  # fmt: skip
def test_what_is_refused(
    finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("old")
    code = 1 if "exists" in message else 2
    assert finetune("reproduce", *arguments) == (code, "", f"finetune: error: {message}\n")
    assert Path("old.json").read_text() == "old"


def test_ours_is_next_to_the_published_result(
    finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten splits mean and deviation (here by hand: 60 and 62, √2), of one the number of its test images."""
    splits = (SplitResult(1.0, 6087, 0.7, 0.60), SplitResult(1.0, 6087, 0.7, 0.62))
    weights = SourceWeights("starter", "ab")
    found = Reproduction(TABLES["caltech101"], weights, "alexnet", 9144, 102, splits)
    monkeypatch.setattr(reproduce, "reproduce", lambda table, data, weights, network: found)
    code, out, _ = finetune("reproduce", "caltech101", "--data", tmp_path, "--out", tmp_path / "new.json")
    assert (code, (tmp_path / "new.json").exists()) == (0, True)
    assert out.splitlines() == [
        "caltech101  Caltech-101, 30 training images of each class, 10 random splits",
        "images      9,144 of 102 classes",
        "weights     starter (alexnet), linear classifier on fc6",
        "accuracy    mean per class; mean and standard deviation of 2 splits",
        "ours        61.0 ± 1.4 % with starter",
        "published   86.9 %: SVM with dropout on DeCAF6 (Donahue et al. 2014)",
    ]
    found = Reproduction(TABLES["flowers102"], weights, "alexnet", 8189, 102, (SplitResult(1.0, 6149, 0.6, 0.7),))
    _, out, _ = finetune("reproduce", "flowers102", "--data", tmp_path)
    assert out.splitlines()[3:] == [
        "accuracy    of all images; 6,149 test images",
        "ours        60.0 % with starter",
        "published   81.4 %: CaffeNet, fine-tuned (github.com/junyuseu/fine-tuning)",
    ]
