"""The cluster files in `docs/scale.md`: valid by Ray's own schema, and their commands can be parsed."""

import re
from copy import deepcopy
from typing import Any

import pytest
from support.documents import blocks
from typer.main import get_command

from finetune.cli import app as cli

PAGE = "docs/scale.md"


@pytest.fixture
def files() -> list[Any]:
    """Return the YAML files of the page: of `ray up`, and of Kubernetes."""
    yaml = pytest.importorskip("yaml")
    return [yaml.safe_load(block.text) for block in blocks(PAGE) if block.language == "yaml"]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")
def test_the_cluster_of_ray_up(files: list[Any]) -> None:
    pytest.importorskip("ray")
    jsonschema = pytest.importorskip("jsonschema")
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster, _ = files
    validate_config(prepare_config(deepcopy(cluster)))
    workers = cluster["available_node_types"]["worker"]
    assert workers["min_workers"] == workers["max_workers"] == cluster["max_workers"], "finetune does not ask for more"
    workers["min_worker"] = 1
    with pytest.raises(jsonschema.ValidationError, match="'min_worker' was unexpected"):
        validate_config(prepare_config(cluster))


def test_the_job_on_kubernetes(files: list[Any]) -> None:
    """Machines have the same image and volumes, and no worker is on the head."""
    _, job = files
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["template"]["spec"] == workers["template"]["spec"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"]


def test_what_they_run_can_be_parsed(files: list[Any]) -> None:
    _, job = files
    submitted = [line for block in blocks(PAGE) for line in block.commands if line.startswith("ray job submit")]
    assert submitted
    for line in [job["spec"]["entrypoint"], *(re.sub(r"^.* -- ", "", line) for line in submitted)]:
        program, name, *words = line.split()
        assert program == "finetune"
        get_command(cli.app).commands[name].make_context(name, words)  # type: ignore[attr-defined]
