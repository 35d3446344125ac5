import pytest

from finetune.system.text import did_you_mean, first_few, has_group, shape_text


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("fc9", ["conv1", "fc8"]) == " (did you mean fc8?)"
    assert did_you_mean("Conv1", ("conv1", "conv2", "fc8")) == " (did you mean conv1?)"
    assert did_you_mean("cnov2", iter(("conv1", "conv2", "fc8"))) == " (did you mean conv2?)"


@pytest.mark.parametrize(
    ("name", "known"), [("zebra", ["brass", "goldfish"]), ("inception", ["conv1"]), ("", ["fc8"]), ("fc9", [])]
)
def test_no_name_is_suggested_if_none_is_similar(name: str, known: list[str]) -> None:
    assert did_you_mean(name, known) == ""


def test_the_cutoff_is_the_least_similarity() -> None:
    """fc9 and fc8 share four of six letters."""
    assert did_you_mean("fc9", ["fc8"], cutoff=0.66) == " (did you mean fc8?)"
    assert did_you_mean("fc9", ["fc8"], cutoff=0.67) == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b and 1 more"),
        (["a"] * 1002, "a, a and 1,000 more"),
    ],
)
def test_the_first_few_are_named_and_the_others_counted(names: list[str], text: str) -> None:
    assert first_few(names, most=2) == text


def test_a_separator_of_ones_own() -> None:
    assert first_few(["a", "b", "c"], 2, " = ") == "a = b and 1 more"


def test_shapes_are_joined_by_a_cross() -> None:
    assert shape_text((11, 11, 3, 96)) == "11×11×3×96"
    assert shape_text([]) == ""


@pytest.mark.parametrize(("pattern", "expected"), [
    ("(a)", True), ("(?P<name>a)|b", True), ("a(b)?", True),
    ("", False), ("a", False), ("(?:a)", False), ("a(?=b)", False),
    ("(a", False), ("(a){99999999999}", False), ("(" * 5000, False), ("(" * 5000 + ")" * 5000, False),
])  # fmt: skip
def test_valid_patterns_with_a_group(pattern: str, expected: bool) -> None:
    assert has_group(pattern) == expected
