"""Names that a shell completes on the command line; others, and files, may be given too."""

from collections.abc import Callable


def completes(*names: str) -> Callable[[str], list[str]]:
    """Return what Typer asks for the names that begin like a word; where none does, bash completes files."""

    def found(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return found
