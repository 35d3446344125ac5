"""The files of a web page: what they load is in the folder, nothing comes from elsewhere, missing ones are named."""

import gzip
import json
import re
from pathlib import Path

import pytest
from support.exports import stand_in_runtime

from finetune.errors import UsageError
from finetune.export.export_folder import ABOUT, MODELS, PAGE, RUNTIME
from finetune.export.web_page import runtime_files, write_page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    write_page(folder, runtime_files(stand_in_runtime(tmp_path / "dist")), {"name": "a", "classes": ["grün"]})
    return folder


def test_what_the_files_load_is_in_the_folder(page: Path) -> None:
    names = {path.name for path in page.iterdir()} | {MODELS["web"]}
    loaded = set()
    for path in page.iterdir():
        if path.suffix in (".js", ".html", ".css") and path.name not in RUNTIME:
            text = path.read_text(encoding="utf-8")
            loaded.update(re.findall(r'from "\./(.+?)"|(?:src|href)="(.+?)"|load\("(.+?)"\)|URL\("\./(.+?)"', text))
    wanted = {name for found in loaded for name in found if name and not name.startswith("data:")}
    assert wanted <= names
    assert names - wanted == {"index.html"}, "nothing is there that nobody loads"


def test_nothing_comes_from_elsewhere(page: Path) -> None:
    for path in page.iterdir():
        if path.name not in RUNTIME:
            assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]", path.read_text(encoding="utf-8")), path.name


def test_content(page: Path) -> None:
    assert json.loads((page / ABOUT).read_text(encoding="utf-8")) == {"name": "a", "classes": ["grün"]}
    assert (page / "onnxruntime-web.js").read_bytes().startswith(b"ort.wasm.min.mjs, 1.19\n")
    assert gzip.decompress((page / "onnxruntime-wasm.wasm.gz").read_bytes()).startswith(b"ort-wasm-simd-threaded.wasm")
    assert "v1/predict" not in (page / "engine.js").read_text(encoding="utf-8"), "the engine of the API"
    assert set(PAGE) < {path.name for path in page.iterdir()}


def test_without_onnxruntime_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        "--to web needs onnxruntime-web, 1.19 or newer, but node_modules/onnxruntime-web/dist has no "
        "ort.wasm.min.mjs; run npm install onnxruntime-web here, or name its folder dist with --runtime"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        runtime_files(None)
    dist = stand_in_runtime(tmp_path / "node_modules/onnxruntime-web/dist")
    assert set(runtime_files(None)) == set(RUNTIME)
    (dist / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(UsageError, match=r"has no ort-wasm-simd-threaded\.wasm; run npm install onnxruntime-web here"):
        runtime_files(dist)
