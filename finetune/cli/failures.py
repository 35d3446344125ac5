"""What ends a command early: every exception becomes one line on stderr and an exit code."""

import logging
import os
import re
import sys
import traceback
from errno import EBADF, EDQUOT, EFBIG, EIO, ENOSPC, EROFS

import typer

from finetune.cli.output import printable
from finetune.errors import FinetuneError

CODE = 1  # of everything that is not wrong usage: the work failed
_OF_WRITING = {ENOSPC, EDQUOT, EFBIG, EIO, EBADF, EROFS}
_NO_MEMORY = -4  # cv2.Error.StsNoMem

logger = logging.getLogger("finetune")


def tell(error: BaseException) -> int:
    """Print why the command ends, as one line, and return its exit code; with -v also where it happened."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CODE
    if logger.isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    message, code = _message(error)
    print(f"finetune: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def _message(error: BaseException) -> tuple[str, int]:
    match error:
        case KeyboardInterrupt():
            return "interrupted; nothing was finished", CODE
        case FinetuneError():
            return f"{error}{_variables(str(error)) if error.exit_code == 2 else ''}", error.exit_code
        case typer.TyperException():
            text = error.format_message()
            return f"{text}{_variables(text)} (finetune COMMAND --help lists the options)", error.exit_code
        case OSError():
            return f"{_place(error)}{error.strerror or error}; mend that and run the same again", CODE
    if _is_memory(error):
        return "not enough memory; close other programs, or give a smaller --batch-size", CODE
    what = f"{type(error).__name__}: {error}"
    return f"unexpected {what[:300]}; this is a fault of finetune, please report it (-v shows where)", CODE


def _place(error: OSError) -> str:
    """Return `NAME: ` of the file that is at fault, `the output: ` where only a failed write can be meant, or nothing.

    Python says of a missing temporary folder, for one, all in the text.
    """
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: "
    return "the output: " if error.errno in _OF_WRITING else ""


def _is_memory(error: BaseException) -> bool:
    """Tell whether Python, OpenCV or TensorFlow ran out of memory; the latter two are not imported here."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError) and "failed to map segment" in str(error):  # of a library that does not fit
        return True
    return "MemoryError" in names or "ResourceExhaustedError" in names or getattr(error, "code", 0) == _NO_MEMORY


def _variables(message: str) -> str:
    """Return ` (set by FINETUNE_TRAIN_EPOCHS)` for the options in a message that come from the environment."""
    words = [word.replace("-", "_").upper() for word in sys.argv[1:] if not word.startswith("-")]
    given = {word.split("=")[0] for word in sys.argv[1:]}
    flags = [flag for flag in re.findall(r"--[a-z][a-z-]*", message) if flag not in given]
    asked = {f"FINETUNE_{word}_{flag[2:].replace('-', '_').upper()}" for word in words for flag in flags}
    found = sorted(asked & os.environ.keys())
    return f" (set by {', '.join(found)})" if found else ""
