"""What a linear probe on the frozen features of a training by gradient reaches, to compare the two."""

from finetune.data.dataset import Dataset
from finetune.errors import DataError
from finetune.training.choose_probe import folds_of, labels_of, training_images
from finetune.training.features import View
from finetune.training.plan import Plan
from finetune.training.probe_features import layer_features
from finetune.training.probe_fit import best_strength, cross_validate
from finetune.training.probe_folds import ALWAYS_TRAINED

MOST_COMPARED = 1000  # training images: 9,216 values of each take about 4 processor seconds


def compare_with_probe(plan: Plan, dataset: Dataset) -> str:
    """Return one line with the accuracy of a linear probe, cross-validated on the features that the run trained on.

    Empty where that would take long: where the features are not in the cache, there are many images, or the trained
    layers do not begin after one that a probe reads. Empty too where too few images can be held out, since the run does
    not need that.
    """
    frozen, _ = plan.network.split(plan.trained)
    layer = frozen[-1].name if frozen else ""
    if not plan.config.cache or layer not in plan.network.probe_layers():
        return ""
    try:
        records = training_images(dataset)
        folds = folds_of(dataset, records)
    except DataError:
        return ""
    if len(records) > MOST_COMPARED:
        return ""
    views, digests = (View(0, plan.precision),), [record.digest for record in records]
    with layer_features(plan, [layer], dict.fromkeys(records, views)) as features:
        best = best_strength(cross_validate(features.rows(layer, records, views), labels_of(records), folds, digests))
    return (
        f"for comparison, a linear probe on the same features ({layer}) reaches {100 * best.accuracy:.1f} ± "
        f"{100 * best.standard_error:.1f} %, cross-validated on {(folds != ALWAYS_TRAINED).sum():,} training images"
    )
