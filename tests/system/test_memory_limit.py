"""A warning before TensorFlow is imported where it may not get the memory that it needs."""

import resource

import pytest

from finetune.system.memory_limit import warn_of_memory_limit


@pytest.mark.parametrize(
    ("limit", "messages"),
    [
        (3 << 30, ["only 3.0 GB of address space are allowed (ulimit -v); TensorFlow may abort with less than 4 GB"]),
        (4 << 30, []),
        (resource.RLIM_INFINITY, []),
    ],
)
def test_too_little_address_space_is_a_warning(
    limit: int, messages: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    warn_of_memory_limit()
    assert caplog.messages == messages
