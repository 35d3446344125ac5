"""The product as a new user meets it: the demo, real photos, the built wheel in an empty environment."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def finetune(*arguments: object, cwd: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "finetune", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.tensorflow
@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    done = finetune("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "shows waves; the model predicts waves" in done.stdout
    assert "finetune train --data YOUR_FOLDER" in done.stdout
    assert len((tmp_path / "finetune-demo" / "run" / "probe.csv").read_text().splitlines()) == 1 + 3
    assert "TensorFlow" not in done.stderr
    assert "oneDNN" not in done.stderr
    again = finetune("demo", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        1, "finetune: error: finetune-demo/images already exists; choose another --out\n",
    )  # fmt: skip


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(("options", "at_least"), [((), 0.835), (("--skip", "fc8", "--seed", 0), 0.82)])
def test_ants_and_bees(shared: Path, tmp_path: Path, options: tuple[object, ...], at_least: float) -> None:
    """The starter's features tell ants from bees; a network that never saw another photo does not."""
    data = shared / "data" / "hymenoptera"
    done = finetune("train", "--data", data, "--weights", "starter", "--out", "run", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["images"] == {"train": 245, "val": 153, "skipped": 0}
    assert metrics["val_accuracy"] >= at_least

    bees = sorted((data / "val" / "bees").glob("*.jpg"))
    done = finetune("predict", *bees, "--model", "run", "--json", cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == list(map(str, bees))
    assert sum(row["predictions"][0]["label"] == "bees" for row in rows) / len(rows) > 0.75


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_poodle(shared: Path, tmp_path: Path) -> None:
    """An RGBA file, and a name among the starter's classes."""
    poodle = shared / "data" / "photos" / "poodle.png"
    done = finetune("predict", poodle, "--model", "starter", "--top", 5, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout)["predictions"]
    assert len(predictions) == 5
    assert predictions[0]["label"] == "standard poodle"


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_wheel_works_elsewhere(tmp_path: Path) -> None:
    """The wheel carries weights and class names: installed alone, from another folder, it predicts with the starter."""
    dist = tmp_path / "dist"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = dist.glob("*.whl")
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    # The package alone goes into the new environment; what it depends on is lent from this one, which has just
    # been installed from the same pyproject.toml.
    subprocess.run([python, "-m", "pip", "install", "--no-deps", "--quiet", wheel], check=True, capture_output=True)
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    lent = [path for path in sys.path if path.endswith("site-packages")]
    Path(packages, "lent.pth").write_text("\n".join(lent))
    where = subprocess.run(
        [python, "-c", "import finetune; print(finetune.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(environment) in where
    image = tmp_path / "white.png"
    subprocess.run(
        [python, "-c", f"import cv2, numpy; cv2.imwrite({os.fspath(image)!r}, numpy.full((9, 9, 3), 255, 'u1'))"],
        check=True,
    )
    done = finetune("predict", image, "--model", "starter", cwd=tmp_path, python=python)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6
