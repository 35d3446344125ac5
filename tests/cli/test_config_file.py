"""Options from a file: TOML written by hand, and a run's own config.json."""

import json
from pathlib import Path

import pytest

from finetune.cli.config_file import read_config
from finetune.config import TrainConfig
from finetune.errors import UsageError


def test_toml_has_the_names_of_the_options(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'data = "images"\nskip = ["fc7", "fc8"]\ntrain = "fc6"\nlearning-rate = 1\nbatch_size = 8\n'
        'flip = false\noptimizer = "adam"\nout = "run"\n'
    )
    assert TrainConfig.from_json(read_config(file)) == TrainConfig(
        data=Path("images"),
        skip=("fc7", "fc8"),
        train=("fc6",),
        learning_rate=1.0,
        batch_size=8,
        flip=False,
        optimizer="adam",
        out=Path("run"),
        views=None,
    )


def test_a_runs_config_repeats_it_elsewhere(tmp_path: Path) -> None:
    """Without its facts, its folder and --overwrite."""
    config = TrainConfig(data=Path("images"), out=Path("run"), epochs=3, overwrite=True)
    facts = {"source_weights": {"name": "x", "sha256": None}, "data_sha256": "0", "version": "1", "versions": {}}
    (tmp_path / "config.json").write_text(json.dumps({**config.to_json(), **facts}))
    again = TrainConfig.from_json(read_config(tmp_path / "config.json"))
    assert again == TrainConfig(data=Path("images"), epochs=3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"epochs = ", "a.toml: "),
        ("a.toml", b"\xff\xfe", "a.toml: "),
        ("a.json", b"{", "a.json: "),
        ("a.json", b"[1]", "a.json has no options; expected lines such as epochs = 10"),
        ("missing.toml", None, "missing.toml cannot be opened (No such file or directory); name a TOML file"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_config(tmp_path / name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch = 3", "unknown option 'epoch' (did you mean epochs?); see finetune train --help"),
        ("epochs = 'three'", "--epochs is 'three'; expected int"),
        ("epochs = true", "--epochs is True; expected int"),
        ("epochs = 2.5", "--epochs is 2.5; expected int"),
        ("cache = 1", "--cache is 1; expected bool"),
        ("skip = 8", "--skip is 8; expected str"),
        ("optimizer = 'lion'", "--optimizer is 'lion'; expected sgd or adam or adamw"),
        ("learning-rate = -1", "--learning-rate must be a number above 0, not -1.0"),
    ],
)
def test_invalid_options_and_values(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'data = "images"\n{line}\n')
    with pytest.raises(UsageError) as error:
        TrainConfig.from_json(read_config(tmp_path / "a.toml"))
    assert str(error.value) == f"--config {tmp_path / 'a.toml'}: {message}"
