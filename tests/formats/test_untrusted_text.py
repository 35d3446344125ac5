"""Text from files, made safe for one line."""

from finetune.formats.untrusted_text import listed, reason, shown


def test_a_name_is_escaped_and_short() -> None:
    assert shown("conv1/kernel") == "conv1/kernel"
    assert shown("a\n\x1b[2J\u202eä") == r"a\n\x1b[2J\u202e\xe4"
    assert shown("x" * 1000) == "x" * 60


def test_a_list_is_escaped_and_short() -> None:
    assert listed([]) == ""
    assert listed(["conv1", "fc\n"]) == r"conv1, fc\n"
    assert listed(f"conv{i}" for i in range(12)).endswith("conv10, conv11")
    assert listed(str(i) for i in range(1014)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,002 more"


def test_the_reason_of_a_library_is_one_short_line() -> None:
    assert reason(ValueError("first\nsecond   third\x07")) == r"first\nsecond third\x07"
    assert reason(ValueError("x" * 1000)) == "x" * 120
