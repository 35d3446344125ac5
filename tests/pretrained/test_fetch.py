"""Fetching: checked, converted, resumed, one process at a time."""

import hashlib
import logging
import os
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
from support.http_server import Publish, Server, names

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.model import Model, load_model
from finetune.pretrained import catalogue, fetch
from finetune.pretrained.catalogue import Entry
from finetune.system import http


def test_fetched_file_is_checked_converted_and_kept(
    server: Server, publish: Publish, cache: Path, tiny_model: Model
) -> None:
    publish(size=len(server.content))
    path = fetch.fetch("tiny")
    assert path == cache / "tiny.safetensors"
    assert names(cache) == {"tiny.safetensors"}
    file = read_weights(path)
    assert file.metadata["weights"] == {
        "name": "tiny",
        "source": f"{server.url}/tiny.npy",
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }
    model = load_model(path)
    assert model.network == tiny_model.network
    assert all(np.array_equal(model.weights[name], tiny_model.weights[name]) for name in tiny_model.weights)
    assert fetch.fetch("tiny") == path
    assert len(server.requests) == 1, "a file that is here is not fetched again"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_digests(server: Server, publish: Publish, cache: Path, algorithm: str) -> None:
    publish(digest=f"{algorithm}:{hashlib.new(algorithm, server.content).hexdigest()}")
    assert fetch.fetch("tiny").is_file()


def test_first_digits_of_a_digest(server: Server, publish: Publish, cache: Path) -> None:
    publish(digest=f"sha256-prefix:{hashlib.sha256(server.content).hexdigest()[:8]}")
    assert fetch.fetch("tiny").is_file()
    (cache / "tiny.safetensors").unlink()
    publish(digest="sha256-prefix:7be5be79")
    with pytest.raises(WeightsError, match=r"content is wrong and was deleted: expected sha256-prefix:7be5be79, got"):
        fetch.fetch("tiny")


def test_a_file_without_a_digest_is_reported_as_unverified(
    publish: Publish, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(digest=None)
    fetch.fetch("tiny")
    url = catalogue.CATALOGUE["tiny"].source
    assert caplog.messages == [f"no digest is published for {url}, so its content could not be verified"]


def test_preprocessing_of_the_entry(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path
) -> None:
    """The file keeps the preprocessing of the training: torchvision's, here at 67 pixels."""
    publish()
    entry = catalogue.CATALOGUE["tiny"]
    torchvision = catalogue.CATALOGUE["torchvision_vgg16"].preprocessing
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", Entry(**{**entry.__dict__, "preprocessing": torchvision}))
    preprocessing = load_model(fetch.fetch("tiny")).network.preprocessing
    assert (preprocessing.channel_order, preprocessing.size) == ("RGB", 67)
    assert preprocessing.std == torchvision.std
    assert preprocessing.resize_to == round(67 * 256 / 224)


def test_a_cut_connection_is_resumed(
    server: Server, publish: Publish, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publish(size=len(server.content))
    server.cut_after = 3_000_000
    with pytest.raises(WeightsError, match=r"broke after 2\.9 of 9\.\d MB; run the same command again to resume$"):
        fetch.fetch("tiny")
    assert names(cache) == {".tiny.npy.part"}
    have = (cache / ".tiny.npy.part").stat().st_size
    assert have == 3_000_000 // http.PIECE * http.PIECE
    fetch.fetch("tiny")
    assert server.requests == [("/tiny.npy", None), ("/tiny.npy", f"bytes={have}-")]
    assert "tiny.npy: resuming after 2.9 MB" in caplog.text
    assert names(cache) == {"tiny.safetensors"}


def test_without_a_digest_only_an_unchanged_file_is_resumed(server: Server, publish: Publish, cache: Path) -> None:
    publish(digest=None)
    for modified in (1_000_000_000, 1_100_000_000, 1_100_000_000):
        server.cut_after, server.modified = 3_000_000, formatdate(modified, usegmt=True)
        with pytest.raises(WeightsError, match="run the same command again"):
            fetch.fetch("tiny")
    whole_pieces = 3_000_000 // http.PIECE * http.PIECE
    assert (cache / ".tiny.npy.part").stat().st_size == 2 * whole_pieces, (
        "only the second file was fetched from the start"
    )
    assert fetch.fetch("tiny").is_file()


def test_server_that_ignores_the_range(server: Server, publish: Publish, cache: Path) -> None:
    publish()
    server.cut_after, server.ignore_range = 3_000_000, True
    with pytest.raises(WeightsError, match="run the same command again"):
        fetch.fetch("tiny")
    assert fetch.fetch("tiny").is_file()


def test_complete_part_needs_no_download(server: Server, publish: Publish, cache: Path) -> None:
    """The last process ended between the last byte and the check."""
    cache.mkdir(parents=True)
    for size in (len(server.content), None):
        (cache / ".tiny.npy.part").write_bytes(server.content)
        publish(size=size)
        assert fetch.fetch("tiny").is_file()
        (cache / "tiny.safetensors").unlink()
    assert [asked for _, asked in server.requests] == [f"bytes={len(server.content)}-"]


def test_a_part_of_an_older_larger_file_is_not_resumed(server: Server, publish: Publish, cache: Path) -> None:
    publish()
    cache.mkdir(parents=True)
    (cache / ".tiny.npy.part").write_bytes(bytes(len(server.content) + 5))
    assert fetch.fetch("tiny").is_file()


def test_a_redirect_is_followed(server: Server, publish: Publish, cache: Path) -> None:
    publish()
    server.location, server.redirects = "/elsewhere/tiny.npy", 1
    assert fetch.fetch("tiny").is_file()
    assert [path for path, _ in server.requests] == ["/tiny.npy", "/elsewhere/tiny.npy"]


def test_what_another_process_has_fetched_meanwhile_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path
) -> None:
    publish()
    answers = iter([None, Path("fetched by another process")])
    monkeypatch.setattr(fetch, "find", lambda _: next(answers))
    assert fetch.fetch("tiny") == Path("fetched by another process")
    assert server.requests == []


CHILD = """
import sys
from finetune.pretrained import catalogue, fetch
from finetune.pretrained.catalogue import Download, Entry
url, digest = sys.argv[1:]
downloads = (Download(url, "tiny.npy", None, digest),)
catalogue.CATALOGUE["tiny"] = Entry("tiny", "alexnet", 3, downloads, "none", None, None)
print(fetch.fetch("tiny"))
"""


@pytest.mark.slow
def test_two_processes_at_once(server: Server, publish: Publish, cache: Path) -> None:
    command = [sys.executable, "-c", CHILD, f"{server.url}/tiny.npy"]
    command.append(f"sha256:{hashlib.sha256(server.content).hexdigest()}")
    environment = {**os.environ, "PYTHONPATH": str(Path(fetch.__file__).parents[2])}
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for child in children:
        printed, errors = child.communicate(timeout=60)
        assert printed.strip() == str(cache / "tiny.safetensors"), errors
    assert len(server.requests) == 1, "the others waited and found it"
    assert names(cache) == {"tiny.safetensors"}
