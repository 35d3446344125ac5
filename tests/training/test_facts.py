"""What a run starts from: written down, and compared before it is resumed."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.plans import plan_of

from finetune import __version__
from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError
from finetune.model import Model
from finetune.system.digest import sha256
from finetune.training.facts import check_unchanged, facts
from finetune.training.plan import SourceWeights

DATASET = Dataset(
    (Record(Path("a.png"), 0, "train", "aa"), Record(Path("b.png"), 1, "val", "bb")), ("ants", "bees"), ()
)


def test_the_facts(tiny_model: Model) -> None:
    found = facts(plan_of(tiny_model, ("fc8",)), DATASET)
    assert found["source_weights"] == {"name": "tiny", "sha256": "ab" * 32}
    assert found["version"] == found["versions"]["finetune"] == __version__
    assert found["data_sha256"] == sha256(b"aa 0 train\nbb 1 val\nantsbees")


def test_paths_may_change(tiny_model: Model) -> None:
    """Moved images are the same images."""
    plan = plan_of(tiny_model, ("fc8",))
    moved = replace(DATASET, records=tuple(r._replace(path=Path("elsewhere") / r.path) for r in DATASET.records))
    check_unchanged(facts(plan, DATASET), DATASET.class_names, plan, moved)


@pytest.mark.parametrize(
    "change",
    [{"digest": "cc"}, {"label": 0}, {"split": "train"}],
    ids=["other bytes", "another label", "another split"],
)
def test_changed_images_are_refused(change: dict[str, object], tiny_model: Model) -> None:
    plan = plan_of(tiny_model, ("fc8",))
    changed = replace(DATASET, records=(DATASET.records[0], DATASET.records[1]._replace(**change)))
    expected = "the images have changed since the run started, so it cannot be resumed; start a new run"
    with pytest.raises(RunError, match=f"^{expected}$"):
        check_unchanged(facts(plan, DATASET), DATASET.class_names, plan, changed)


def test_other_class_names_are_refused(tiny_model: Model) -> None:
    """Also the same names in another order, which folders of numbers had in version 0.1.0."""
    plan = plan_of(tiny_model, ("fc8",))
    for names, order in ((("ants", "wasps"), "ants, wasps"), (("bees", "ants"), "bees, ants")):
        with pytest.raises(RunError) as caught:
            check_unchanged(facts(plan, DATASET), DATASET.class_names, plan, replace(DATASET, class_names=names))
        assert str(caught.value) == (
            f"the run has the classes ants, bees, in this order, but the data now has {order}, so it cannot be "
            "resumed; start a new run"
        )


def test_the_name_of_the_weights_may_change(tiny_model: Model) -> None:
    """A run's weights were called model.safetensors in version 0.1.0, and now as the run."""
    plan = plan_of(tiny_model, ("fc8",))
    renamed = replace(plan, source=SourceWeights("model.safetensors", plan.source.sha256))
    check_unchanged(facts(renamed, DATASET), DATASET.class_names, plan, DATASET)


def test_other_weights_are_refused(tiny_model: Model) -> None:
    plan = plan_of(tiny_model, ("fc8",))
    other = replace(plan, source=SourceWeights("tiny", "cd" * 32))
    for started in (facts(plan, DATASET), {**facts(plan, DATASET), "source_weights": "damaged"}):
        with pytest.raises(RunError, match="the source weights have changed since the run started"):
            check_unchanged(started, DATASET.class_names, other, DATASET)
