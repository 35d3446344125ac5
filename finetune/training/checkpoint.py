"""The state of a training on disk, whole or not at all: after every epoch, and from time to time within one."""

from pathlib import Path
from typing import Any

import numpy as np

from finetune.errors import RunError, WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.networks.initialize import Arrays
from finetune.runs.run import Run
from finetune.training.state import Epoch, HeadValues, Part, Progress, State


def save_checkpoint(run: Run, state: State) -> None:
    """Write a state into a run: at the end of an epoch with the history, within one next to the last whole state."""
    if state.part.batches:
        save_state(run.checkpoint_within, state)
    else:
        run.write_history(Epoch._fields, state.history)
        save_state(run.checkpoint, state)


def load_progress(run: Run) -> Progress:
    """Return how far a run is by its checkpoints; raise RunError when one is damaged."""
    return Progress(load_state(run.checkpoint), load_state(run.checkpoint_within))


def save_state(path: Path, state: State) -> None:
    """Write the state to `path`, in place of an older one."""
    path.parent.mkdir(exist_ok=True)
    groups: dict[str, Any] = {
        "weights": state.values.weights,
        "average": state.values.average,
        "optimizer": {str(place): _floating(value) for place, value in enumerate(state.values.optimizer)},
        "best": state.best_weights or {},  # none where the last epoch is kept
    }
    tensors: Arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    history = [list(epoch) for epoch in state.history]
    write_safetensors(path, tensors, {"history": history, "halvings": state.halvings, "part": list(state.part)})


def load_state(path: Path) -> State | None:
    """Return the state at `path`, None when there is none; raise RunError when it is damaged."""
    if not path.exists():
        return None
    try:
        file = read_weights(path)
        groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "average": {}, "optimizer": {}, "best": {}}
        for name, value in file.tensors.items():
            group, rest = name.split("/", 1)
            groups[group][rest] = np.array(value)
        optimizer = tuple(groups["optimizer"][str(place)] for place in range(len(groups["optimizer"])))
        return State(
            values=HeadValues(groups["weights"], groups["average"], optimizer),
            history=tuple(_epoch(epoch) for epoch in file.metadata["history"]),
            best_weights=groups["best"] or None,
            halvings=file.metadata["halvings"],
            part=Part(*file.metadata["part"]),
        )
    except (WeightsError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunError(f"the checkpoint {path} is damaged ({error}); remove it to start the run again") from None


def _floating(value: np.ndarray) -> np.ndarray:
    # float64 holds counts of steps, the only integers, exactly.
    return value if np.issubdtype(value.dtype, np.floating) else value.astype(np.float64)


def _epoch(values: Any) -> Epoch:
    number, *numbers = values
    return Epoch(int(number), *map(float, numbers))
