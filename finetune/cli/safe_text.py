"""Text that is safe to print: the names of files and classes are anybody's."""


def printable(text: str) -> str:
    r"""Return one line that cannot control the terminal.

    Line breaks, escape sequences and bytes that are not UTF-8 appear as backslash escapes.

    >>> print(printable("a\nb"))
    a\nb
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
