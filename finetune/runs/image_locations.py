"""Where the images of a run are now, from whichever folder one asks."""

from collections.abc import Iterable
from pathlib import Path

from finetune.data.dataset import Record
from finetune.data.idx import image_exists
from finetune.errors import RunError
from finetune.runs.run import RUNS, Run


def locate_images(run: Run, records: Iterable[Record]) -> list[Record]:
    """Return the records with the paths at which their images are now.

    The manifest has the paths as they were given to train. A relative one starts in the folder where train was called,
    which is known as long as the run is where its --out put it; otherwise the paths stay as they are.
    """
    records = list(records)
    folder = _called_from(run)
    if folder is None or not any(image_exists(folder / record.path) for record in records):
        return records
    return [record._replace(path=folder / record.path) for record in records]


def _called_from(run: Run) -> Path | None:
    """Return the folder where train was called, which is the run's without its --out.

    None when it is the current folder or not known.
    """
    folder = run.path.absolute()
    try:
        out = Path(str(run.config().get("out") or RUNS / folder.name))
    except RunError:
        return None
    if out.is_absolute() or not out.parts or folder.parts[-len(out.parts) :] != out.parts:
        return None
    called_from = folder.parents[len(out.parts) - 1]
    return None if called_from == Path.cwd() else called_from
