"""The clients that others wrote, each against one running server.

Each in a process of its own: they warn at import, patch sockets, or live in an environment of their own.
"""

import json
import subprocess
import sys
from pathlib import Path

CLIENTS = Path(__file__).parent / "clients"
# Resolved by itself, for kserve wants older versions of what the server ships; `make install` builds it.
KSERVE = Path(sys.prefix) / "kserve" / "bin" / "python"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def run(python, script, port):
    done = subprocess.run([python, CLIENTS / script, str(port)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("ok\n")


def test_tritonclient_is_satisfied(onnx_server):
    run(sys.executable, "triton.py", onnx_server.port)


def test_kserves_rest_client_is_satisfied(onnx_server):
    assert KSERVE.exists(), "kserve's environment is missing: run `make install`"
    run(KSERVE, "kserve_rest.py", onnx_server.port)


def test_mlflows_scoring_client_is_satisfied(sklearn_server):
    run(sys.executable, "mlflow_scoring.py", sklearn_server.port)


def test_schemathesis_finds_no_answer_that_the_document_does_not_tell_of(onnx_server, tmp_path):
    server = onnx_server
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(server.get("/openapi.json").json))
    command = [
        Path(sys.executable).parent / "schemathesis",
        *("run", str(document), "--url", f"http://127.0.0.1:{server.port}", "--seed", "7", "--max-examples", "6"),
        *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--generation-deterministic"),
        # MLflow's /ping says JSON and sends an empty line, and its clients know it so.
        *("--exclude-path", "/ping", "--no-color", "--request-timeout", "30"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.get("/readyz").status == 200
    assert not [line for line in server.log if line.get("message") == "a request failed unexpectedly"]
