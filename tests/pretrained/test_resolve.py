"""From a name or a path to a file, and the rule of `--weights auto`."""

import logging
from pathlib import Path

import pytest
from support.http_server import Publish

from finetune.errors import WeightsError
from finetune.pretrained import fetch
from finetune.pretrained.catalogue import CATALOGUE
from finetune.pretrained.resolve import choose_weights, resolve


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The first folder that is searched for weights, empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_a_published_name(here: Path) -> None:
    (here / "bvlc_alexnet.npy").touch()
    assert resolve("bvlc_alexnet") == (Path("weights/bvlc_alexnet.npy"), "bvlc_alexnet")
    assert choose_weights("bvlc_alexnet", "caffenet") == (Path("weights/bvlc_alexnet.npy"), "bvlc_alexnet")


def test_a_name_that_is_not_here_is_fetched(publish: Publish, cache: Path) -> None:
    publish()
    assert resolve("tiny") == (cache / "tiny.safetensors", "tiny")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("bvlc_alexnet", "use --weights starter, which needs no download"),
        ("torchvision_vgg16", "train from scratch with --weights none"),
    ],
)
def test_a_name_given_explicitly_never_falls_back(here: Path, name: str, advice: str) -> None:
    for chosen in (lambda: resolve(name), lambda: choose_weights(name, "alexnet")):
        with pytest.raises(WeightsError) as caught:
            chosen()
        assert str(caught.value) == (
            f"weights {name!r} are not on this machine, and not fetched because FINETUNE_OFFLINE is set; unset it, or "
            f"download {CATALOGUE[name].source} into {here}; or {advice}"
        )


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "mine.npy").touch()
    assert resolve(str(tmp_path / "mine.npy")) == (tmp_path / "mine.npy", "mine.npy")
    assert choose_weights("mine.npy", "alexnet") == (Path("mine.npy"), "mine.npy")
    with pytest.raises(
        WeightsError, match=rf"^expected a weights file, but {tmp_path} is a folder; pass the file in it$"
    ):
        resolve(str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        resolve("bvlc_alexnt")
    assert str(caught.value) == (
        "weights 'bvlc_alexnt': neither a file nor a published name (did you mean bvlc_alexnet?); the names are "
        + ", ".join(CATALOGUE)
    )


def test_none() -> None:
    assert choose_weights("none", "alexnet") == (None, "none")


def test_auto_is_the_published_weights(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    for network, name in (("alexnet", "bvlc_alexnet"), ("vgg16", "torchvision_vgg16")):
        (here / f"{name}.safetensors").touch()
        assert choose_weights("auto", network) == (Path(f"weights/{name}.safetensors"), name)
    assert not caplog.text


def test_auto_fetches_the_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "fetch", lambda name: Path(f"fetched {name}"))
    assert choose_weights("auto", "caffenet") == (Path("fetched bvlc_caffenet"), "bvlc_caffenet")


def test_auto_falls_back_to_the_starter_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path, name = choose_weights("auto", "alexnet")
    assert path is not None
    assert (path.name, name) == ("starter.safetensors", "starter")
    warning, reason = caplog.records
    assert (warning.levelname, reason.levelname) == ("WARNING", "DEBUG")
    assert warning.message == (
        "the weights bvlc_alexnet are not on this machine and could not be fetched; using the small starter "
        "(200 classes) instead; `finetune weights fetch bvlc_alexnet` shows the reason"
    )
    assert "FINETUNE_OFFLINE is set" in reason.message


def test_auto_without_a_fallback() -> None:
    with pytest.raises(
        WeightsError, match=r"'bvlc_caffenet' are not on this .*; or train from scratch with --weights none$"
    ):
        choose_weights("auto", "caffenet")


def test_auto_without_the_file_of_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.pretrained.resolve.find", lambda _: None)
    with pytest.raises(
        WeightsError, match=r"'bvlc_alexnet' are not on this .*; or train from scratch with --weights none$"
    ):
        choose_weights("auto", "alexnet")


def test_auto_for_a_network_without_published_weights() -> None:
    with pytest.raises(WeightsError) as caught:
        choose_weights("auto", "alexnet-bn")
    assert str(caught.value) == (
        "no weights are published for alexnet-bn; pass a file with --weights, or --weights none to train from scratch"
    )
