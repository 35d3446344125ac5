"""schemathesis asks what the OpenAPI allows and what it does not: no answer is an error of the server."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.served import Client

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.slow
def test_no_answer_is_an_error_of_the_server(client: Client, tmp_path: Path) -> None:
    """/v1/explain needs TensorFlow, which this server does without; it reads its request with the same function."""
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("schemathesis is not installed")
    ran = subprocess.run(
        [
            program, "run", f"{client.base}/openapi.json", "--checks", ",".join(CHECKS), "--max-examples", "20",
            "--exclude-path", "/v1/explain", "--generation-deterministic", "--no-color",
            "--suppress-health-check", "all",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert "Tested: 5" in ran.stdout
