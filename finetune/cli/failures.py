"""Every exception that ends a command becomes one line on stderr, wrapped on a terminal, and an exit code."""

import logging
import os
import sys
import traceback
from errno import EBADF, EDQUOT, EFBIG, EIO, ENOSPC, EROFS

from finetune.cli.exit_codes import FAILED, INTERRUPTED
from finetune.cli.output import RED, print_log
from finetune.cli.safe_text import printable
from finetune.errors import FinetuneError

MARK = "finetune: error: "
INTERRUPTED_LINE = "interrupted; nothing was finished"
_WRITE_ERRORS = {ENOSPC, EDQUOT, EFBIG, EIO, EBADF, EROFS}
_OPENCV_NO_MEMORY = -4  # cv2.Error.StsNoMem

logger = logging.getLogger("finetune")


def report_failure(error: BaseException) -> int:
    """Print the error as one line on stderr and return the exit code; with -v, print the traceback first."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has closed it, and expects no message
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if logger.isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    message, code = _message(error)
    print_log(f"{MARK}{printable(' '.join(message.split()))}", MARK, RED)
    return code


def _message(error: BaseException) -> tuple[str, int]:
    """Return the line and the exit code of an error."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED_LINE, INTERRUPTED
        case FinetuneError():
            return " ".join([str(error), *_notes(error)]), error.exit_code
        case OSError():
            return f"{_file(error)}{error.strerror or error}; fix that and run the same command again", FAILED
    if _is_out_of_memory(error):
        return "not enough memory; close other programs, or give a smaller --batch-size", FAILED
    what = f"{type(error).__name__}: {error}"
    return f"unexpected {what[:300]}; this is a bug in finetune, please report it (-v shows where)", FAILED


def _notes(error: BaseException) -> list[str]:
    """Return what `finetune.cli.environment` adds to an error."""
    return getattr(error, "__notes__", [])


def _file(error: OSError) -> str:
    """Return `NAME: ` for an error about a file, `the output: ` for one that only writing can raise, or nothing.

    Some errors say everything in their text, such as that no folder for temporary files can be used.
    """
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: "
    return "the output: " if error.errno in _WRITE_ERRORS else ""


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, OpenCV or TensorFlow ran out of memory, without importing the latter two."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError) and "failed to map segment" in str(error):  # a library that does not fit
        return True
    return "MemoryError" in names or "ResourceExhaustedError" in names or getattr(error, "code", 0) == _OPENCV_NO_MEMORY
