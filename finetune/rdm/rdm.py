"""`write_rdms(files, out)`: from the features of one or two networks to their dissimilarity matrices and agreement."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Dissimilarity
from finetune.errors import DataError, UsageError
from finetune.rdm.activations import Activations, LayerMatrix, read_activations
from finetune.rdm.draw_rdms import Panel, RdmImage, draw_rdms
from finetune.rdm.kernel_alignment import SquaredDistances, linear_cka
from finetune.rdm.pairs import Pairs, consecutive, pair_count
from finetune.rdm.ranks import kendall_tau_a, rank, spearman
from finetune.rdm.rdm_file import DISSIMILARITIES, MEASURES, Agreement, lay_out, write_agreement
from finetune.rdm.tiles import RowStatistics, row_statistics, tile_places, tiles, why_undefined
from finetune.system.atomic import replacing
from finetune.system.figure_file import FIGURE_ENDINGS
from finetune.system.output_file import check_output_file
from finetune.system.progress import track
from finetune.system.text import first_few

logger = logging.getLogger(__name__)

RDM_ENDINGS = (".h5", ".hdf5")  # what rsatoolbox recognises
MOST_STIMULI = 1 << 16  # so that twice the rank of a pair has 32 bits
LEAST_STIMULI = 3  # two have a single pair


@dataclass(frozen=True)
class WrittenRdms:
    """What was written: the number of matrices and of stimuli, and with two files the agreement of their layers."""

    matrices: int
    stimuli: int
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True)
class LayerTask:
    """A layer, its file by number, and the statistics of its rows."""

    source: int
    layer: LayerMatrix
    statistics: RowStatistics


def write_rdms(
    files: Sequence[Path],
    out: Path,
    figure: Path,
    metric: Dissimilarity = "correlation",
    *,
    overwrite: bool = False,
) -> WrittenRdms:
    """Write a matrix of dissimilarities for each layer to `out`, and draw them to `figure`.

    `files`: one or two that `score --features` wrote as .h5, of the same stimuli. With two, every layer of the first is
    compared with every layer of the second. A stimulus that was not read, or has no dissimilarity in some layer, is
    skipped in all of them, with a warning. Memory: `tile_bytes()`, with two files BYTES_PER_PAIR if that is more.

    Raises UsageError for names that end in something else, RunError for a file that exists and may not be replaced,
    DataError for files that cannot be read, of other stimuli, or with too few or too many of them.
    """
    _check_names(files, out, figure, overwrite)
    sources = [read_activations(path) for path in files]
    _check_same_stimuli(sources)
    layers = [(number, layer) for number, source in enumerate(sources) for layer in source.layers]
    tracked = track(layers, len(layers), "reading", "layers")
    tasks = [LayerTask(number, layer, row_statistics(layer)) for number, layer in tracked]
    skipped = _skipped(sources, tasks, metric)
    stimuli = np.setdiff1d(np.arange(len(sources[0].names)), list(skipped))
    _check_count(len(stimuli), files[0])
    with replacing(out) as part, tempfile.TemporaryFile(dir=out.parent) as scratch:
        offsets = lay_out(part, sources, stimuli, skipped, metric)
        with part.open("r+b") as file:
            pairs = pair_count(len(stimuli))
            matrices = consecutive(Pairs(file, offsets[DISSIMILARITIES], pairs), len(tasks))
            squared = consecutive(Pairs(scratch, 0, pairs), len(tasks)) if len(sources) == 2 else []
            panels = [_panel(tasks, number, sources, RdmImage(len(stimuli))) for number in range(len(tasks))]
            distances = _compute(tasks, stimuli, metric, matrices, squared, panels)
            agreements = _agreements(tasks, matrices, distances) if distances else ()
            if agreements:
                write_agreement(file, offsets, agreements)
        draw_rdms(figure, f"{MEASURES[metric]} distance, {len(stimuli):,} stimuli", panels)
    return WrittenRdms(len(tasks), len(stimuli), agreements)


def _compute(
    tasks: Sequence[LayerTask],
    stimuli: NDArray[np.intp],
    metric: Dissimilarity,
    matrices: Sequence[Pairs],
    squared: Sequence[Pairs],
    panels: Sequence[Panel],
) -> list[SquaredDistances]:
    """Write the dissimilarities of each layer and, if they have places, the squared distances; return those."""
    count = len(stimuli)
    distances = [SquaredDistances(pairs, np.zeros(count)) for pairs in squared]
    every = (
        (number, tile)
        for number, task in enumerate(tasks)
        for tile in tiles(task.layer, task.statistics, stimuli, metric)
    )
    for number, tile in track(every, len(tasks) * len(tile_places(count)), "comparing images", "tiles"):
        matrices[number].write_tile(count, tile.rows, tile.columns, tile.values)
        panels[number].image.add(tile)
        if distances:
            pairs, sums = distances[number]
            pairs.write_tile(count, tile.rows, tile.columns, tile.squared_distances)
            sums[tile.rows] += tile.squared_distances.sum(axis=1)
            if tile.rows != tile.columns:
                sums[tile.columns] += tile.squared_distances.sum(axis=0)
    return distances


def _panel(tasks: Sequence[LayerTask], number: int, sources: Sequence[Activations], image: RdmImage) -> Panel:
    task = tasks[number]
    title = task.layer.name if len(sources) == 1 else f"{task.layer.name} of {sources[task.source].path.stem}"
    return Panel(title, image, first=number == 0 or tasks[number - 1].source != task.source)


def _agreements(
    tasks: Sequence[LayerTask], matrices: Sequence[Pairs], distances: Sequence[SquaredDistances]
) -> tuple[Agreement, ...]:
    """Return the agreement of every layer of the first file with every layer of the second."""
    numbers, last = range(len(tasks)), distances[-1].pairs
    end = last.offset + 8 * last.count  # of the squared distances; the ranks follow
    doubled = consecutive(Pairs(last.file, end, last.count, np.uint32), len(tasks))
    rankings = [rank(matrices[number], doubled[number]) for number in track(numbers, len(tasks), "ranking", "layers")]
    first, second = ([number for number in numbers if tasks[number].source == source] for source in (0, 1))
    pairs = list(product(first, second))
    return tuple(
        Agreement(
            tasks[a].layer.name,
            tasks[b].layer.name,
            spearman(rankings[a], rankings[b]),
            kendall_tau_a(rankings[a], rankings[b]),
            linear_cka(distances[a], distances[b]),
        )
        for a, b in track(pairs, len(pairs), "comparing layers", "pairs")
    )


def _skipped(sources: Sequence[Activations], tasks: Sequence[LayerTask], metric: Dissimilarity) -> Mapping[int, str]:
    """Return the stimuli to skip, by number, each with the reason; warn of them."""
    reasons: dict[int, str] = {}
    for task in reversed(tasks):
        reasons |= why_undefined(task.layer, task.statistics, metric)
    for source in sources:
        reasons |= {number: error for number, error in enumerate(source.errors) if error}
    if reasons:
        names = [f"{sources[0].names[number]} ({reasons[number]})" for number in sorted(reasons)]
        logger.warning("%d of %d stimuli skipped: %s", len(names), len(sources[0].names), first_few(names, 5))
    return dict(sorted(reasons.items()))


def _check_names(files: Sequence[Path], out: Path, figure: Path, overwrite: bool) -> None:
    if len(files) > 2:
        raise UsageError(f"expected one file of features, or two to compare, but got {len(files)}; give two at a time")
    for option, path, endings in (("--out", out, RDM_ENDINGS), ("--figure", figure, FIGURE_ENDINGS)):
        if any(path.exists() and path.samefile(file) for file in files if file.exists()):
            raise UsageError(f"{option} {path} is one of the files to read; choose another name")
        check_output_file(path, endings, overwrite=overwrite, option=option)


def _check_same_stimuli(sources: Sequence[Activations]) -> None:
    first, last = sources[0], sources[-1]
    if len(first.names) != len(last.names):
        raise DataError(
            f"expected the same stimuli, but {first.path} has {len(first.names)} and {last.path} {len(last.names)}; "
            "score the same list with both models"
        )
    for number, (name, other) in enumerate(zip(first.names, last.names, strict=True), start=1):
        if name != other:
            raise DataError(
                f"expected the same stimuli in the same order, but row {number} is {name} in {first.path} and {other} "
                f"in {last.path}; score the same list with both models"
            )


def _check_count(stimuli: int, path: Path) -> None:
    if not LEAST_STIMULI <= stimuli <= MOST_STIMULI:
        raise DataError(
            f"{path}: expected {LEAST_STIMULI} to {MOST_STIMULI:,} stimuli that can be compared, but it has "
            f"{stimuli:,}; score others"
        )
