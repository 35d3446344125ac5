"""Options from a file: TOML that a person wrote, or the config.json of a run to repeat."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.config import checked_option
from finetune.errors import UsageError
from finetune.runs.run import FACTS


def read_config(path: Path) -> dict[str, Any]:
    """Return the options in a .toml or .json file, under the names of TrainConfig's fields and as their types.

    TOML may write `batch-size` or `batch_size`. The facts and the folder of the run that wrote a config.json are left
    out. Raises UsageError, naming the file, for what cannot be read, is no option or has no such value.
    """
    try:
        text = path.read_text(encoding="utf-8")
        options = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--config {path} cannot be opened ({error.strerror}); name a TOML file") from None
    except (ValueError, RecursionError) as error:  # neither TOML nor JSON, or not UTF-8
        raise UsageError(f"--config {path}: {error}; expected lines such as epochs = 10") from None
    if not isinstance(options, Mapping):
        raise UsageError(f"--config {path} holds no options; expected lines such as epochs = 10")
    left_out = {*FACTS, "out", "overwrite"} if path.suffix.lower() == ".json" else set()
    given = {name.replace("-", "_"): value for name, value in options.items() if name not in left_out}
    try:
        return {name: checked_option(name, value) for name, value in given.items()}
    except UsageError as error:
        raise UsageError(f"--config {path}: {error}") from None
