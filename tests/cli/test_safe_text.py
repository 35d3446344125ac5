from finetune.cli.safe_text import printable


def test_nothing_can_control_the_terminal() -> None:
    assert printable("a\x1b[2J\nb\udcff\t\u202e") == r"a\x1b[2J\nb\udcff\t\u202e"


def test_text_of_any_language_stays() -> None:
    assert printable("Hündin 犬 95 % × 2") == "Hündin 犬 95 % × 2"
