from finetune.system.table import table


def test_columns_are_aligned() -> None:
    rows = [("layer", "", "parameters"), ("fc6", "trained", "7"), ("total", "", "60,965,224")]
    assert table("llr", rows).split("\n") == [
        "layer           parameters",
        "fc6    trained           7",
        "total           60,965,224",
    ]


def test_a_line_does_not_end_with_spaces() -> None:
    assert table("ll", [("a", "long"), ("b", "")]) == "a  long\nb"


def test_any_iterable_of_rows() -> None:
    assert table("r", ((str(number),) for number in (8, 9, 10))) == " 8\n 9\n10"
