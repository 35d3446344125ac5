"""Which format the output file of `score` has: its ending decides."""

from pathlib import Path

from finetune.classifier import Classifier
from finetune.errors import UsageError
from finetune.scoring.formats import CsvFormat, Format, JsonLinesFormat, NpyFormat
from finetune.scoring.score_options import ScoreOptions

ENDINGS = (".jsonl", ".csv", ".parquet", ".npy")


def choose_format(out: Path, classifier: Classifier, options: ScoreOptions) -> Format:
    """Return the format that the ending of `out` stands for; raise UsageError if it cannot hold the rows."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"--out {out}: expected a name that ends in {', '.join(ENDINGS)}")
    if options.features is None and ending == ".npy":
        raise UsageError(f"--out {out}: .npy holds features; add --features LAYER, or choose .jsonl, .csv or .parquet")
    if options.features is not None and ending in (".jsonl", ".csv"):
        raise UsageError(f"--out {out}: features are thousands of numbers; choose .npy or .parquet")
    shape = () if options.features is None else classifier.feature_shape(options.features, options.pool)
    match ending:
        case ".parquet":
            from finetune.scoring.parquet import ParquetFormat  # needs a library that not everybody has

            return ParquetFormat(out, options, classifier.class_names, shape)
        case ".npy":
            return NpyFormat(out, options, shape)
        case ".csv":
            return CsvFormat(out, options, classifier.class_names)
    return JsonLinesFormat(out, options)
