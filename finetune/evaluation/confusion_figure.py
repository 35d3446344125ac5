"""The confusion matrix of a run as a figure for a paper, with the names of the classes."""

from pathlib import Path

import numpy as np

from finetune.data.class_name import valid_text
from finetune.errors import RunError
from finetune.evaluation.plots import draw_confusion
from finetune.runs.read_run import read_evaluation
from finetune.runs.run import open_run
from finetune.system.figure_file import FIGURE_ENDINGS, figure_file
from finetune.system.output_file import check_output_file
from finetune.system.text import shortened

NAMED, COUNTED = 50, 20  # as many classes have their names at the sides, and their counts in the cells, at most
CELL = 0.35  # inches
LEAST, MOST = 2.5, 12.0  # inches of the matrix
LONGEST, LETTER = 40, 0.08  # letters of a name, and inches of each


def write_confusion(run_path: Path, out: Path, option: str = "--out") -> None:
    """Write the confusion matrix of a run to `out`, a .png, .pdf or .svg: a row for each true class.

    A cell is the darker, the larger its share of the row. `option` is the option that named the file. Raises RunError
    if `run_path` is not a finished run or was never evaluated, or if `out` exists or cannot be written, UsageError for
    another ending.
    """
    check_output_file(out, FIGURE_ENDINGS, overwrite=None, option=option)
    evaluation = read_evaluation(open_run(run_path))
    if evaluation is None:
        raise RunError(f"{run_path} has no evaluation.json, which the confusion matrix is drawn from; train again")
    try:
        names = [shortened(valid_text(metrics["label"]), LONGEST) for metrics in evaluation["per_class"]]
        if not names:
            raise ValueError("no classes")
        counts = np.array(evaluation["confusion"], np.int64).reshape(len(names), len(names))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run_path}/evaluation.json is damaged ({type(error).__name__}); train again") from None
    side = min(max(LEAST, CELL * len(names)), MOST)
    beside = LETTER * max(map(len, names)) if len(names) <= NAMED else 0
    with figure_file(out, side + beside + 1, side + beside + 1) as figure:
        axes = figure.add_subplot()
        draw_confusion(axes, counts.tolist())
        if len(names) <= NAMED:
            fit = LETTER * max(map(len, names)) < side / len(names)
            axes.set_xticks(range(len(names)), names, rotation=0 if fit else 90)
            axes.set_yticks(range(len(names)), names)
        if len(names) <= COUNTED:
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            for row, column in np.argwhere(counts):
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=color)
