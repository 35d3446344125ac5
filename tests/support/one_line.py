"""The check for every failed command: an error of one line on stderr, without a traceback."""


def one_line(code: int, out: str, err: str, words: str) -> None:
    """Fail unless a command ended with exit code 1, no output, no traceback, and a last line that contains `words`."""
    assert code == 1, err
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("finetune: error: ")
    assert words in last
