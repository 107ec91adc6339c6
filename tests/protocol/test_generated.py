"""The generated code beside link.proto is what the pinned compiler makes of it today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fettle_protocol
import pytest

PROTOS = Path(fettle_protocol.__file__).parents[1]


@pytest.mark.parametrize("name", ["link_pb2.py", "link_pb2.pyi"])
def test_generated_code_is_up_to_date(tmp_path, name):
    source = "fettle_protocol/v1/link.proto"
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, source], cwd=PROTOS, check=True, timeout=60)
    committed = PROTOS / "fettle_protocol/v1" / name
    assert (tmp_path / "fettle_protocol/v1" / name).read_text() == committed.read_text(), "run `make protos` and commit"
