"""Counting why images were not read."""

from finetune.data.unread import MOST_KEPT, Unread


def test_what_is_quoted_of_a_file_is_not_another_reason() -> None:
    unread = Unread()
    for start in ("b'hello'", "b'<html>'"):
        unread.add(f"not an image: expected JPEG; the file begins with {start}")
    assert unread.describe(5) == "2 of 5 not read: 2 × not an image: expected JPEG"


def test_three_reasons_are_named() -> None:
    unread = Unread({"the file is empty": 1200, "HEIC is not supported; convert the image to JPEG": 30})
    for number in range(4):
        unread.add(f"damaged ({number})")
    assert unread.describe(5000) == (
        "1,234 of 5,000 not read: 1,200 × the file is empty, 30 × HEIC is not supported (convert the image to JPEG), "
        "1 × damaged (0), 3 × other reasons"
    )


def test_the_reasons_take_constant_memory() -> None:
    unread = Unread({"the file is empty": 2})
    for number in range(2 * MOST_KEPT):
        unread.add(f"damaged ({number})")
    unread.add("the file is empty")
    assert unread.counts.total() == 2 * MOST_KEPT + 3
    assert (len(unread.counts), unread.counts["the file is empty"]) == (MOST_KEPT + 1, 3)
