"""The page in Chromium: every way in, bars, the map, ten crops, errors, keyboard, phone, dark, token."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium, read_all, visiting
from support.drawn_photos import encoded, photo
from support.served import Client, served

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.runs.about_model import about_model
from finetune.runs.open_model import open_model
from finetune.serving.loaded_model import LoadedModel
from finetune.serving.service import Service

pytestmark = pytest.mark.slow

Finetune = Callable[..., tuple[int, str, str]]
WARM_UP = LoadedModel.warm_up  # other tests replace it
IMAGES = [(f"{number}.jpg", encoded(photo(number))) for number in range(3)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def bars(card: Any) -> list[tuple[str, str]]:
    """Return class and percentage of each bar of a card."""
    card.locator(".bar").first.wait_for()
    return [
        (bar.locator("span").inner_text(), bar.locator("b").inner_text().replace("\u00a0", " "))
        for bar in card.locator(".bar").all()
    ]


def shown(rows: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    """Return what the page shows of the rows of `predict --json`."""
    return [[(each["label"], f"{100 * each['probability']:.1f} %") for each in row["predictions"]] for row in rows]


def test_page_and_api_and_command_give_one_answer(browser: Any, shared: Path, finetune: Finetune) -> None:
    photos = sorted((shared / "data" / "photos").iterdir())
    _, out, _ = finetune("predict", *photos, "--model", "starter", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == len(photos) > 3
    model = open_model("starter")
    with served(Service(Classifier(model), lambda: about_model(model, "starter"))) as client:
        answer = client.post("/v1/predict", files=[("images", each) for each in read_all(photos)]).json()
        with visiting(browser, client.base + "/") as visit:
            answers: list[Any] = []
            visit.page.on("response", lambda each: answers.append(each) if "predict" in each.url else None)
            visit.drop("#drop", read_all(photos))
            visit.page.get_by_text(f"{len(photos)} images classified.").wait_for()
            assert list(map(bars, visit.page.locator(".card").all())) == shown(rows)
            in_page = [row for each in answers for row in each.json()]
    named = [{**row, "path": Path(row["path"]).name} for row in rows]
    for others in (answer, in_page):  # a batch of several is multiplied in another order than one image alone
        for one, other in zip(named, others, strict=True):
            assert one["path"] == other["path"]
            assert [each["label"] for each in one["predictions"]] == [each["label"] for each in other["predictions"]]
            for first, second in zip(one["predictions"], other["predictions"], strict=True):
                assert first["probability"] == pytest.approx(second["probability"], abs=1e-6)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_way_in(browser: Any, client: Client, width: int, scheme: str) -> None:
    with visiting(browser, client.base + "/", width, scheme) as visit:
        page = visit.page
        page.set_input_files("#files", [{"name": name, "mimeType": "", "buffer": data} for name, data in IMAGES[:2]])
        page.get_by_text("2 images classified.").wait_for()
        visit.paste(IMAGES[2:])
        page.locator(".card").nth(2).wait_for()
        assert page.locator("h2").all_inner_texts() == ["2.jpg", "0.jpg", "1.jpg"]  # the newest first
        page.get_by_role("button", name="Use the camera").click()
        page.locator("#live-bars .bar").first.wait_for()
        page.get_by_role("button", name="Take a photo").click()
        page.locator(".card").nth(3).wait_for()
        page.get_by_role("button", name="Close the camera").click()
        for card in page.locator(".card").all():
            assert {label for label, _ in bars(card)} == {"red", "green", "blue"}
            assert (
                card.locator(".photo img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
            )
        assert not visit.overflows()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 26)"
        assert dark == (scheme == "dark")


def test_about_the_model(browser: Any, client: Client) -> None:
    about = client.get("/v1/model").json()
    with visiting(browser, client.base + "/") as visit:
        visit.page.get_by_text("About this model").click()
        facts = visit.page.locator("#facts").inner_text()
        assert about["sha256"] in facts
        assert "alexnet" in facts
        assert visit.page.locator("#classes li").all_inner_texts() == ["red", "green", "blue"]
        assert visit.page.title() == "tiny.safetensors – finetune"


def test_ten_crops_compute_again(browser: Any, client: Client) -> None:
    rows = client.post("/v1/predict?ten_crop=true", data=IMAGES[0][1]).json()
    with visiting(browser, client.base + "/") as visit:
        visit.drop("#drop", IMAGES[:1])
        bars(visit.page.locator(".card"))
        with visit.page.expect_response(lambda answer: "ten_crop=true" in answer.url):
            visit.page.get_by_label("Ten crops").check()
        visit.page.get_by_text("1 image classified.").wait_for()
        assert bars(visit.page.locator(".card")) == shown(rows)[0]


def test_what_cannot_be_read_is_said(browser: Any, client: Client, tmp_path: Path) -> None:
    for name, data in (IMAGES[0], ("notes.txt", b"text"), ("huge.png", b"")):
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "huge.png").open("r+b") as file:
        file.truncate(60_000_001)
    with visiting(browser, client.base + "/") as visit:
        visit.page.set_input_files("#files", [tmp_path / name for name in ("0.jpg", "notes.txt", "huge.png")])
        cards = visit.page.locator(".card")
        cards.nth(1).locator(".error").wait_for()
        assert cards.nth(1).locator(".error").inner_text().startswith("Not read: not an image: expected JPEG")
        assert cards.nth(2).locator(".error").inner_text() == "Not read: larger than 60 MB; shrink it"
        assert len(bars(cards.nth(0))) == 3
        assert not cards.nth(1).locator(".fade").is_visible()
        cards.nth(1).get_by_role("button", name="Remove").click()
        assert cards.count() == 2


@pytest.mark.tensorflow
def test_the_map_fades_in(browser: Any, tiny_model: Model, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoadedModel, "warm_up", WARM_UP)
    service = Service(Classifier(tiny_model), lambda: about_model(tiny_model, tiny_weights))
    with served(service) as client, visiting(browser, client.base + "/") as visit:
        visit.drop("#drop", IMAGES[:1])
        card = visit.page.locator(".card")
        (predicted, _), (other, _), _ = bars(card)
        image, control = card.locator(".map"), card.get_by_label("What speaks for the class")
        assert not image.is_visible()
        control.focus()
        visit.page.keyboard.press("PageUp")
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth / image.naturalHeight)") == (
            pytest.approx(200 / 150, abs=0.02)
        )
        assert 0 < float(image.evaluate("image => image.style.opacity")) < 1
        first = image.get_attribute("src")
        assert card.locator("[aria-pressed=true] span").inner_text() == predicted
        with visit.page.expect_response(lambda answer: f"explain?label={other}" in answer.url):
            card.get_by_role("button", name=other).press("Enter")
        assert card.locator("[aria-pressed=true] span").inner_text() == other
        visit.page.wait_for_timeout(200)
        assert image.get_attribute("src") != first


def test_with_the_keyboard_alone(browser: Any, client: Client) -> None:
    with visiting(browser, client.base + "/") as visit:
        page = visit.page
        visit.drop("#drop", IMAGES[:1])
        bars(page.locator(".card"))
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))
        assert seen[:3] == ["Choose images", "Use the camera", "ten-crop"]
        assert "Remove" in seen
        assert "About this model" in seen
        with page.expect_file_chooser():
            page.get_by_role("button", name="Choose images").press("Enter")


def test_the_token_comes_from_the_address(browser: Any, service: Service) -> None:
    with served(Service(service.model.classifier, service._about), token="a b") as client:
        with visiting(browser, client.base + "/#token=a%20b") as visit:
            visit.drop("#drop", IMAGES[:1])
            assert len(bars(visit.page.locator(".card"))) == 3
        page = browser.new_page()
        page.goto(client.base)
        page.get_by_text("expected the header Authorization: Bearer TOKEN, as of --token").wait_for()
        page.close()
