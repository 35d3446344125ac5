"""Which format the output file of `score` has: its ending decides."""

from collections.abc import Mapping
from pathlib import Path

from finetune.classifier import Classifier
from finetune.errors import UsageError
from finetune.scoring.formats import CsvFormat, Format, JsonLinesFormat, NpyFormat
from finetune.scoring.input_list import InputList
from finetune.scoring.score_options import ScoreOptions
from finetune.system.text import either

FOR_CLASSES = (".jsonl", ".csv", ".parquet")
FOR_FEATURES = (".npy", ".h5", ".mat", ".parquet")
ENDINGS = tuple(dict.fromkeys((*FOR_CLASSES, *FOR_FEATURES)))


def choose_format(
    out: Path,
    classifier: Classifier,
    options: ScoreOptions,
    inputs: InputList | None = None,
    about: Mapping[str, str] | None = None,
) -> Format:
    """Return the format that the ending of `out` stands for; raise UsageError if it cannot hold the rows.

    `inputs`: None if they can be read only once, from stdin. `about`: what the file says about its origin, if it can.
    """
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"--out {out}: expected a name that ends in {either(ENDINGS)}")
    if not options.features and ending not in FOR_CLASSES:
        raise UsageError(
            f"--out {out}: {ending} holds features; add --features LAYERS, or choose {either(FOR_CLASSES)}"
        )
    if options.features and ending not in FOR_FEATURES:
        raise UsageError(f"--out {out}: features are thousands of numbers; choose {either(FOR_FEATURES)}")
    if ending == ".mat" and options.dtype != "float32":
        raise UsageError(f"--out {out}: MATLAB has no {options.dtype}; omit --dtype, or choose .h5")
    shapes = classifier.feature_shapes(options.features, options.pool) if options.features else {}
    match ending:
        case ".parquet":
            from finetune.scoring.parquet import ParquetFormat  # needs a library that not everybody has

            return ParquetFormat(out, options, classifier.class_names, shapes)
        case ".npy":
            return NpyFormat(out, options, shapes)
        case ".h5" | ".mat":
            from finetune.scoring.hdf5 import Hdf5Format  # h5py takes a moment to import
            from finetune.scoring.matlab import MatlabFormat

            if inputs is None:
                raise UsageError(
                    f"--out {out}: {ending} needs the number of images first, but - is read only once; write the names "
                    "to a file and give @FILE"
                )
            return (MatlabFormat if ending == ".mat" else Hdf5Format)(out, options, shapes, inputs, about or {})
        case ".csv":
            return CsvFormat(out, options, classifier.class_names)
    return JsonLinesFormat(out, options)
