"""The state of a training on disk: written after every epoch, whole or not at all."""

from pathlib import Path

import numpy as np

from finetune.errors import RunError, WeightsError
from finetune.pretrained.read import read_weights
from finetune.pretrained.safetensors_file import write_safetensors
from finetune.training.loop import Epoch, State
from finetune.training.plan import Arrays


def save_state(path: Path, state: State) -> None:
    """Write the state to `path`, in place of an older one."""
    path.parent.mkdir(exist_ok=True)
    tensors: Arrays = {
        **{f"weights/{name}": value for name, value in state.weights.items()},
        **{f"best/{name}": value for name, value in state.best_weights.items()},
        **{f"optimizer/{place}": _floating(value) for place, value in enumerate(state.optimizer)},
    }
    history = [list(epoch) for epoch in state.history]
    write_safetensors(path, tensors, {"history": history, "best": list(state.best)})


def _floating(value: np.ndarray) -> np.ndarray:
    # float64 holds the optimizer's step count, the one integer among its variables, exactly.
    return value if np.issubdtype(value.dtype, np.floating) else value.astype(np.float64)


def load_state(path: Path) -> State | None:
    """Return the state at `path`, None when there is none; raise RunError when it is damaged."""
    if not path.exists():
        return None
    try:
        file = read_weights(path)
        groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "best": {}, "optimizer": {}}
        for name, value in file.tensors.items():
            group, rest = name.split("/", 1)
            groups[group][rest] = np.array(value)
        return State(
            history=tuple(Epoch(*epoch) for epoch in file.metadata["history"]),
            best=Epoch(*file.metadata["best"]),
            best_weights=groups["best"],
            weights=groups["weights"],
            optimizer=tuple(groups["optimizer"][str(place)] for place in range(len(groups["optimizer"]))),
        )
    except (WeightsError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"the checkpoint {path} is damaged ({error}); remove it to begin the run again") from None
