"""Options from a file: TOML written by hand, or the config.json of a run to repeat."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.config import checked_option
from finetune.errors import UsageError
from finetune.runs.run import FACTS


def read_config(path: Path) -> dict[str, Any]:
    """Return the options in a .toml or .json file, under the names and with the types of TrainConfig's fields.

    TOML may spell `batch-size` or `batch_size`. From a config.json, the facts about the run and its folder are skipped.
    Raises UsageError, which names the file, if it cannot be read, or has an unknown option or an invalid value.
    """
    is_json = path.suffix.lower() == ".json"
    try:
        text = path.read_text(encoding="utf-8")
        options = json.loads(text) if is_json else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--config {path} cannot be opened ({error.strerror}); name a TOML file") from None
    except (ValueError, RecursionError) as error:  # neither TOML nor JSON, or not UTF-8
        raise UsageError(f"--config {path}: {error}; expected lines such as epochs = 10") from None
    if not isinstance(options, Mapping):
        raise UsageError(f"--config {path} has no options; expected lines such as epochs = 10")
    ignored = {*FACTS, "out", "overwrite"} if is_json else set()
    given = {name.replace("-", "_"): value for name, value in options.items() if name not in ignored}
    try:
        return {name: checked_option(name, value) for name, value in given.items()}
    except UsageError as error:
        raise UsageError(f"--config {path}: {error}") from None
