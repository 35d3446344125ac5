"""`finetune teach`: what is refused before anything is made; the page itself is tested in tests/serving."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

Finetune = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_the_packages_it_says_what_to_install(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.cli.serve.find_spec", lambda module: None if module == "fastapi" else module)
    code, _, error = finetune("teach")
    assert code == 2
    assert error.startswith("finetune: error: finetune teach needs fastapi; pip install 'fastapi")
    assert list(Path().iterdir()) == []


def test_other_machines_need_a_token(finetune: Finetune) -> None:
    pytest.importorskip("fastapi")
    code, _, error = finetune("teach", "--host", "0.0.0.0")
    assert code == 2
    assert "--host 0.0.0.0 lets other machines in; add --token SECRET" in error
    assert list(Path().iterdir()) == []


def test_a_port_in_use_makes_nothing(finetune: Finetune) -> None:
    pytest.importorskip("fastapi")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, error = finetune("teach", "--port", taken.getsockname()[1])
    assert code == 2
    assert "give another --port or --host" in error
    assert list(Path().iterdir()) == []


def test_a_file_is_not_a_folder(finetune: Finetune) -> None:
    pytest.importorskip("fastapi")
    Path("images").write_text("words")
    code, _, error = finetune("teach", "--port", 0)
    assert (code, error) == (
        2,
        "finetune: error: expected a folder with a folder of images per class, but images is a file; name a folder\n",
    )


def test_a_folder_with_splits_is_refused_and_stays_as_it_is(finetune: Finetune) -> None:
    pytest.importorskip("fastapi")
    for split in ("train", "test"):
        Path("images", split, "ants").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    code, _, error = finetune("teach", "--port", 0)
    assert code == 1
    assert "holds splits or lists of images, which the page cannot change; name another folder" in error
    assert sorted(Path().rglob("*")) == before


def test_it_serves_the_folder_until_it_is_stopped(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("fastapi")
    seen: list[str] = []

    def run(app: object, _: socket.socket) -> None:
        seen.extend(app.openapi()["paths"])  # type: ignore[attr-defined]
        assert Path("lessons", ".teach.lock").exists()

    monkeypatch.setattr("finetune.serving.server.run", run)
    code, output, _ = finetune("teach", "lessons", "--port", 0, "--token", "secret")
    assert (code, output) == (0, "")
    assert {"/v1/predict", "/v1/teach"} <= set(seen)
    first, last = caplog.messages
    assert first.startswith("teaching lessons at http://127.0.0.1:")
    assert first.endswith("/teach#token=secret (Ctrl-C stops it)")
    assert last == "stopped; the images are in lessons"
    assert list(Path("lessons").iterdir()) == []
