"""The quick loop, `pytest -m 'not tensorflow and not slow'`: which tests are not in it, and what enforces that.

A single test that needs TensorFlow is marked `@pytest.mark.tensorflow`. The files below import TensorFlow at the top:
the quick loop does not collect them, and all of their tests get the mark in `conftest.py`. In the quick loop, a test
without the mark fails if it imports TensorFlow.
"""

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

TENSORFLOW_FILES = (
    "data/test_pixel_dataset.py",
    "explain/test_gradient_ascent.py",
    "export/test_every_network.py",
    "export/test_keras.py",
    "export/test_saved_model.py",
    "export/test_tf_decode.py",
    "export/test_tf_exif.py",
    "export/test_tf_resize.py",
    "formats/test_tf_checkpoint.py",
    "networks/test_benchmark.py",
    "networks/test_compiled.py",
    "networks/test_forward.py",
    "networks/test_keras_network.py",
    "networks/test_networks.py",
    "networks/test_normalization.py",
    "networks/test_oracle.py",
    "test_bytes_read.py",
    "test_old_scripts.py",
    "test_original_programs.py",
    "training/test_compare_probe.py",
    "training/test_estimate.py",
    "training/test_events.py",
    "training/test_failures.py",
    "training/test_features.py",
    "training/test_find_rate.py",
    "training/test_head.py",
    "training/test_journal.py",
    "training/test_local_group.py",
    "training/test_loop.py",
    "training/test_loss.py",
    "training/test_optimization.py",
    "training/test_probe.py",
    "training/test_probe_failures.py",
    "training/test_probe_features.py",
    "training/test_solver_steps.py",
    "training/test_splits.py",
    "training/test_stages.py",
    "training/test_stored_features.py",
)


class RefuseTensorFlow(MetaPathFinder):
    """A finder for `sys.meta_path` that fails the test that imports TensorFlow."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "tensorflow":
            pytest.fail(
                "a test without the mark tensorflow imports TensorFlow: decorate it with @pytest.mark.tensorflow, or "
                "add its file to tests/support/quick_loop.py"
            )
        return None
