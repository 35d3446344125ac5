"""What is reported about the names and sizes of classes."""

from collections import Counter

from finetune.check.classes import check_classes


def found(**counts: tuple[int, int]) -> list[tuple[str, str]]:
    return found_named({name: counts[name] for name in counts})


def found_named(counts: dict[str, tuple[int, int]]) -> list[tuple[str, str]]:
    splits = {name: Counter({"train": train, "val": val}) for name, (train, val) in counts.items()}
    return [(finding.kind, finding.message) for finding in check_classes(splits)]


def test_sound_classes() -> None:
    assert found(ants=(40, 10), bees=(10, 3)) == []


def test_few_images() -> None:
    assert found(ants=(10, 1), bees=(9, 1)) == [("few-pictures", "'bees' has 9")]


def test_imbalance_is_five_times() -> None:
    assert found(ants=(49, 1), bees=(10, 1)) == []
    assert found(ants=(50, 1), bees=(10, 1), wasps=(40, 1)) == [
        (
            "imbalance",
            "'ants' has 50 to train on, 'bees' has 10; always predicting 'ants' would be right for 50 %",
        )
    ]


def test_one_split_only() -> None:
    assert found(ants=(20, 0), bees=(20, 5), flies=(0, 2)) == [
        ("class-one-side", "class 'ants' has no images in validation"),
        ("class-one-side", "class 'flies' has no images in training"),
    ]
    assert found(ants=(20, 0), bees=(20, 0)) == [], "no class has validation images, so no class is at fault"


def test_one_class() -> None:
    assert found(ants=(20, 5), bees=(0, 0)) == [("one-class", "only 'ants' has images")]
    assert found(ants=(0, 0)) == [("one-class", "no class has images")]


def test_names_that_differ_in_case_spaces_or_punctuation() -> None:
    names = (
        "Fire Ant",
        "fire_ant",
        "fire-ant ",
        "é",
        "e\N{COMBINING ACUTE ACCENT}",
        "-",
        "_",
        "fire ants",
        "ｆish",
        "fish",
    )
    assert found_named(dict.fromkeys((*names, "fish", "ｆish"), (20, 5))) == [
        ("similar-names", "classes 'Fire Ant', 'fire-ant ', 'fire_ant'"),
        ("similar-names", "classes 'e\N{COMBINING ACUTE ACCENT}', 'é'"),
        ("similar-names", "classes 'fish', 'ｆish'"),
    ]
