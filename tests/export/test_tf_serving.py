"""The files for TensorFlow Serving: they and the model card agree on paths, names and ports."""

import re
from pathlib import Path

import pytest

from finetune.export.export_folder import COMPOSE, MODELS, SERVED
from finetune.export.tf_serving import write_serving
from finetune.export.usage import usage
from finetune.model import Model

yaml = pytest.importorskip("yaml")


def test_compose_and_config_agree_with_the_card(tiny_model: Model, tmp_path: Path) -> None:
    write_serving(tmp_path)
    (service,) = yaml.safe_load((tmp_path / COMPOSE).read_text(encoding="utf-8"))["services"].values()
    (volume,), (port,) = service["volumes"], service["ports"]
    here, mounted, mode = volume.split(":")
    assert (here, mode) == (".", "ro")
    host, outside, inside = port.split(":")
    assert host == "127.0.0.1", "nobody else may call it unless the user wants that"
    assert inside == "8501", "the port of the REST API in TensorFlow Serving's image"
    assert service["command"] == f"--model_config_file={mounted}/{SERVED}"
    config = (tmp_path / SERVED).read_text(encoding="utf-8")
    assert re.search(r'base_path: "(.*)"', config)[1] == mounted, "where the folder of version folders is"  # type: ignore[index]
    assert MODELS["saved_model"] == "1", "a version folder"
    name = re.search(r'name: "(.*)"', config)[1]  # type: ignore[index]
    assert f"http://localhost:{outside}/v1/models/{name}:predict" in usage("saved_model", tiny_model)


def test_config_is_balanced(tmp_path: Path) -> None:
    write_serving(tmp_path)
    config = (tmp_path / SERVED).read_text(encoding="utf-8")
    assert config.count("{") == config.count("}") == 2
