"""What every failed command shows: one line on stderr, no traceback."""


def one_line(code: int, out: str, err: str, words: str) -> None:
    """Fail unless a command ended with 1 and a last line that has the words, and showed no traceback."""
    assert code == 1, err
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("finetune: error: ")
    assert words in last
