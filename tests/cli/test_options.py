from finetune.cli.options import completes


def test_names_that_start_with_the_word() -> None:
    matching = completes("fc6", "fc7", "conv1")
    assert matching("fc") == ["fc6", "fc7"]
    assert matching("") == ["fc6", "fc7", "conv1"]
    assert matching("x") == []
