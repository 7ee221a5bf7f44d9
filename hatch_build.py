"""Build hook: generate qekm/v1 from proto/qekm/v1 with the one pinned protoc."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateProto(BuildHookInterface[Any]):
    """Run protoc before the wheel (or the editable install) is laid out."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write `*_pb2.py`, `*_pb2_grpc.py` and their `.pyi` beside each other in qekm/v1."""
        import grpc_tools
        from grpc_tools import protoc

        root = Path(self.root)
        protos = sorted((root / "proto/qekm/v1").glob("*.proto"))
        # Build isolation does not put the plugins' scripts on PATH.
        os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        code = protoc.main(
            [
                "protoc",
                f"-I{root / 'proto'}",
                f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
                f"--python_out={root}",
                f"--grpc_python_out={root}",
                f"--mypy_out=quiet:{root}",
                f"--mypy_grpc_out=quiet:{root}",
                *(str(path) for path in protos),
            ]
        )
        if code != 0:
            raise RuntimeError(f"protoc refused proto/qekm/v1 (exit {code})")
        for module in (root / "qekm/v1").glob("*_pb2.py"):
            with module.open("a") as file:
                file.write("from qekm.redaction import redact\nredact(globals())\n")
        (root / "qekm/v1/__init__.py").write_text(
            '"""The contract, generated from proto/qekm/v1; never edited."""\n'
        )
        (root / "qekm/v1/py.typed").touch()
