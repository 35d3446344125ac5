"""`finetune rdm`."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.choices import Dissimilarity
from finetune.cli.options import Overwrite, Verbose
from finetune.cli.terminal import Table, show


def rdm(
    features: Annotated[
        list[Path],
        typer.Argument(
            metavar="FEATURES",
            help="The .h5 file that `finetune score --features LAYERS` wrote, or two of them to compare.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The HDF5 file to write, .h5; rsatoolbox.rdm.load_rdm reads it.")
    ],
    metric: Annotated[
        Dissimilarity,
        typer.Option(
            help="1 - Pearson's correlation, the squared Euclidean distance divided by the number of units (as in "
            "rsatoolbox), or 1 - the cosine."
        ),
    ] = "correlation",
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The figure of all matrices: .png, .pdf or .svg. [default: FILE of --out, with .png]"
        ),
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Compare how layers tell images apart: dissimilarity matrices.

    Each layer of FEATURES gets a matrix with a row and a column for each image. With two files, Spearman's rank
    correlation, Kendall's tau-a and linear CKA show how far their layers agree.

    Examples:
      finetune rdm acts.h5 --out rdms.h5
      finetune rdm alexnet.h5 caffenet.h5 --out rdms.h5 --figure rdms.pdf
    """
    from finetune.rdm.rdm import write_rdms

    figure = figure or out.with_suffix(".png")
    written = write_rdms(features, out, figure, metric, overwrite=overwrite)
    matrices = "1 matrix" if written.matrices == 1 else f"{written.matrices} matrices"
    files = f"{out}: {matrices} of {written.stimuli:,} images\n{figure}"
    header = ("layer of the first", "of the second", "Spearman", "tau-a", "linear CKA")
    rows = [(layer, other, *(f"{value:.3f}" for value in values)) for layer, other, *values in written.agreements]
    show(*([Table("llrrr", [header, *rows])] if rows else []), files)
