"""A folder that any static server shows: the page of `finetune serve`, with the model computed in the browser.

The page is that of `finetune.serving`, except for `engine.js`, which knows where its answers come from: this one
decodes and resizes images as this package does, and computes the network with onnxruntime-web. Large files are
compressed, since a plain server sends files as they are.
"""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import finetune
from finetune.errors import UsageError
from finetune.export.export_folder import ABOUT, PAGE, RUNTIME

INSTALLED = Path("node_modules/onnxruntime-web/dist")  # where npm puts it, in the folder in which it is called

_PAGE = Path(finetune.__file__).parent / "serving" / "page"
_BROWSER = Path(__file__).parent / "browser"


def runtime_files(folder: Path | None) -> dict[str, Path]:
    """Return the files of onnxruntime-web by their name in the export; raise UsageError if one of them is missing."""
    dist = folder or INSTALLED
    files = {name: dist / original for name, original in RUNTIME.items()}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise UsageError(
            f"--to web needs onnxruntime-web, 1.19 or newer, but {dist} has no {missing[0]}; run npm install "
            "onnxruntime-web here, or name its folder dist with --runtime"
        )
    return files


def write_page(folder: Path, runtime: dict[str, Path], about: dict[str, Any]) -> None:
    """Write all but the model into `folder`; `about` is what the page shows of it, `runtime` as `runtime_files`."""
    for name in PAGE:
        own = _BROWSER / name
        shutil.copyfile(own if own.is_file() else _PAGE / name, folder / name)
    for name, path in runtime.items():
        content = path.read_bytes()
        (folder / name).write_bytes(compressed(content) if name.endswith(".gz") else content)
    (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


def compressed(content: bytes) -> bytes:
    """Return the content of a .gz file."""
    return gzip.compress(content, mtime=0)  # the same bytes for the same model
