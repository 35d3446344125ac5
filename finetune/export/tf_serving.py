"""Files for TensorFlow Serving, next to a SavedModel: which model it serves, and how to start it with Compose."""

from pathlib import Path

from finetune.export.export_folder import COMPOSE, SERVED

NAME = "model"  # in the URL; that of TensorFlow Serving's image, too
PORT = 8501  # of its REST API

_SERVED = f"""# The models that TensorFlow Serving serves. Each has a folder of version folders such as 1.
model_config_list {{
  config {{
    name: "{NAME}"
    base_path: "/models/{NAME}"
    model_platform: "tensorflow"
  }}
}}
"""

_COMPOSE = f"""# docker compose up: the model at http://localhost:{PORT}/v1/models/{NAME}, for this machine only.
services:
  serving:
    image: tensorflow/serving
    command: --model_config_file=/models/{NAME}/{SERVED}
    volumes:
      - .:/models/{NAME}:ro
    ports:
      - 127.0.0.1:{PORT}:{PORT}
"""


def write_serving(folder: Path) -> None:
    """Write `models.config` and `compose.yaml` into the folder of an export."""
    (folder / SERVED).write_text(_SERVED, encoding="utf-8")
    (folder / COMPOSE).write_text(_COMPOSE, encoding="utf-8")
