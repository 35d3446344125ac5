"""The page of `finetune teach` in a headless browser with a fake camera: from two classes to a live prediction."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import chromium
from support.drawn_photos import write_photos

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

TRAINED = 180_000  # milliseconds, of which TensorFlow's import takes most

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
expect = playwright.expect


class Server:
    """`finetune teach images` in a folder; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self.options: tuple[str, ...] = ()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "finetune", "teach", "images", f"--port={self._port}", *self.options]
        self._process = subprocess.Popen(
            command, cwd=self._folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": _paths()}
        )
        assert self._process.stderr
        for line in self._process.stderr:
            if found := re.search(r"http://127.0.0.1:(\d+)\S*", line):
                self.address, self._port = found[0], int(found[1])
                return
        pytest.fail("the server did not start")

    def end(self, kind: signal.Signals) -> int:
        self._process.send_signal(kind)
        code = self._process.wait(30)
        self._process.stderr.close()  # type: ignore[union-attr]
        return code


def _paths() -> str:
    return os.pathsep.join(path for path in sys.path if path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_photos(tmp_path / "photos", range(6))
    started = Server(tmp_path)
    yield started
    started.end(signal.SIGKILL)


@pytest.fixture
def page() -> Iterator["Page"]:
    """A page that may ask its server only, and where every error of a script fails the test."""
    errors: list[str] = []
    with chromium() as browser:
        opened = browser.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("request", lambda request: _is_ours(request.url) or errors.append(request.url))
        yield opened
    assert errors == []


def _is_ours(url: str) -> bool:
    return re.match(r"(http://127\.0\.0\.1:\d+/|blob:http://127\.0\.0\.1:|data:,)", url) is not None


def add_class(page: "Page", name: str) -> None:
    page.get_by_label("Name of a new class").fill(name)
    page.get_by_role("button", name="Add class").click()
    expect(page.locator(f'[data-name="{name}"]')).to_be_visible()


def test_from_two_classes_to_a_live_prediction(page: "Page", server: Server, tmp_path: Path) -> None:
    page.goto(server.address)
    add_class(page, "camera")
    add_class(page, "clouds")
    hold = page.get_by_role("button", name="Hold to record camera")
    hold.dispatch_event("pointerdown", {"button": 0, "pointerId": 1})
    expect(page.locator('[data-name="camera"] .count')).to_have_text(re.compile("[4-9] images"), timeout=20_000)
    hold.dispatch_event("pointerup")
    files = sorted((tmp_path / "photos").iterdir())
    page.locator('[data-name="clouds"] input[type=file]').set_input_files(files)
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("6 images")

    page.get_by_role("button", name="clouds, image 6").click()
    page.locator('[data-name="clouds"] .remove').click()
    expect(page.locator("#status")).to_have_text(re.compile("1 image moved to .deleted in the folder"))
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("5 images")
    page.get_by_role("button", name="Check the images").click()
    expect(page.locator("#findings")).to_contain_text("classes with few images to train on")

    expect(page.get_by_role("heading", name="3. Try it")).to_be_hidden()
    page.get_by_role("button", name="Train").click()
    expect(page.locator("#training")).to_have_text("The model and its report are ready.", timeout=TRAINED)
    expect(page.locator("#result")).to_contain_text("are classified correctly (95 % interval")
    page.get_by_role("button", name="Live at the camera").click()
    expect(page.locator("#bars li").first).to_contain_text("camera", timeout=20_000)
    page.locator("#image").set_input_files(files[0])
    expect(page.locator("#bars li").first).to_contain_text("clouds")

    for name, link in (("model.safetensors", "Model"), ("report.html", "Report"), ("images.zip", "All images (zip)")):
        with page.expect_download() as download:
            page.get_by_role("link", name=link, exact=True).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).stat().st_size > 1000
    (run,) = (tmp_path / "runs").iterdir()
    page.get_by_role("link", name="Classify images").click()
    expect(page.locator("#name")).to_have_text(run.name)
    page.get_by_role("link", name="Teach").click()
    expect(page.get_by_role("heading", name="1. Classes and images")).to_be_visible()


def test_killed_and_started_again_nothing_is_lost(page: "Page", server: Server, tmp_path: Path) -> None:
    page.goto(server.address)
    add_class(page, "clouds")
    files = sorted((tmp_path / "photos").iterdir())
    page.locator('[data-name="clouds"] input[type=file]').set_input_files(files)
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("6 images")
    server.end(signal.SIGKILL)
    expect(page.locator("#status")).to_contain_text("The server does not answer. Is finetune teach running?")
    write_photos(tmp_path / "more", range(10, 14))
    files = sorted((tmp_path / "more").iterdir())
    page.locator('[data-name="clouds"] input[type=file]').set_input_files(files)
    expect(page.locator("#status")).to_have_text(re.compile(r"The server does not answer; \d waiting."))
    server.start()
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("10 images", timeout=20_000)
    page.goto(server.address)
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("10 images")
    assert len(list((tmp_path / "images" / "clouds").iterdir())) == 10
    assert server.end(signal.SIGTERM) == 0
    assert not (tmp_path / "images" / ".teach.lock").exists()
    server.start()


def test_relabel_rename_and_record_with_the_keyboard(page: "Page", server: Server, tmp_path: Path) -> None:
    """And a name that somebody gave a folder by hand is text on the page, whatever it says."""
    (tmp_path / "images" / "<b>fog & 100 %").mkdir()
    page.goto(server.address)
    expect(page.get_by_role("heading", name="<b>fog & 100 %")).to_be_visible()
    add_class(page, "clouds")
    files = sorted((tmp_path / "photos").iterdir())
    page.locator('[data-name="clouds"] input[type=file]').set_input_files(files)
    expect(page.locator('[data-name="clouds"] .count')).to_have_text("6 images")
    for _ in range(2):
        page.locator('[data-name="clouds"] .thumbs button[aria-pressed=false]').first.press("Enter")
    page.locator('[data-name="clouds"] .move').press("Enter")
    expect(page.locator("#status")).to_have_text("2 images moved to <b>fog & 100 %.")
    page.once("dialog", lambda dialog: dialog.accept("rain"))
    page.get_by_role("button", name="Rename <b>fog & 100 %").press("Enter")
    expect(page.locator('[data-name="rain"] .count')).to_have_text("2 images")
    page.once("dialog", lambda dialog: dialog.accept("CLOUDS"))
    page.get_by_role("button", name="Rename rain").press("Enter")
    expect(page.locator("#status")).to_have_text("there is a class 'clouds' already; choose another name")

    page.get_by_role("button", name="Hold to record rain").focus()
    page.keyboard.down("Space")
    expect(page.locator('[data-name="rain"] .count')).to_have_text(re.compile("[5-9] images"), timeout=20_000)
    page.keyboard.up("Space")
    expect(page.locator("#status")).to_have_text("", timeout=20_000)
    recorded = len(list((tmp_path / "images" / "rain").iterdir()))
    page.wait_for_timeout(1000)
    assert len(list((tmp_path / "images" / "rain").iterdir())) == recorded, "it ends when the key is up"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete rain").press("Enter")
    expect(page.locator('[data-name="rain"]')).to_have_count(0)
    assert len(list((tmp_path / "images" / ".deleted" / "rain").iterdir())) == recorded


def test_folders_become_classes_and_a_token_goes_with_every_request(
    page: "Page", server: Server, tmp_path: Path
) -> None:
    write_photos(tmp_path / "chosen" / "sun", range(20, 23))
    write_photos(tmp_path / "chosen" / "moon", range(30, 34))
    (tmp_path / "chosen" / "moon" / "notes.txt").write_text("not an image")
    server.end(signal.SIGTERM)
    server.options = ("--token", "s3cret & more")
    server.start()
    page.goto(server.address.partition("#")[0])
    expect(page.locator("#status")).to_contain_text("expected the header Authorization")
    page.goto("about:blank")
    page.goto(server.address)
    page.locator("#folder-files").set_input_files(tmp_path / "chosen")
    expect(page.locator('[data-name="sun"] .count')).to_have_text("3 images")
    expect(page.locator('[data-name="moon"] .count')).to_have_text("4 images")
    image = page.locator('[data-name="moon"] .thumbs img').first
    expect(image).to_have_js_property("naturalWidth", 160)
    with page.expect_download() as download:
        page.get_by_role("link", name="All images (zip)").click()
    assert download.value.suggested_filename == "images.zip"
