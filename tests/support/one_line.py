"""The check for every failed command: an error of one line on stderr, without a traceback."""


def one_line(code: int, out: str, err: str, words: str, expected: int = 1) -> None:
    """Fail unless a command ended with that exit code, no output, no traceback, and a last line that has `words`."""
    assert code == expected, err
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("finetune: error: ")
    assert words in last
