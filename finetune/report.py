"""report.html: what a run did, on one page that asks nothing of the network."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from finetune.data.folder import Dataset


def render_report(
    config: Mapping[str, Any], plan: str, metrics: Mapping[str, Any], history: Sequence[Any], dataset: Dataset
) -> str:
    """Return the page as HTML; every name and path in it is escaped."""
    counts = Counter((record.label, record.split) for record in dataset.records)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = "{:.1%}".format
    template = environment.from_string(files("finetune").joinpath("report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        config=config,
        plan=plan,
        metrics=metrics,
        history=history,
        skipped=dataset.skipped,
        classes=[
            (name, counts[label, "train"], counts[label, "val"]) for label, name in enumerate(dataset.class_names)
        ],
    )
