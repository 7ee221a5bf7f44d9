"""`qekm` as it is installed: a program in a directory with the programs that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As pip writes it: a program that starts processes of its own is imported by them.
QEKM = "#!{python}\nfrom qekm_cli.app import main\nif __name__ == '__main__':\n    main()\n"
ECHO = "#!{python}\nimport json, os, sys\n{body}\n"


@dataclass(frozen=True)
class Installation:
    """A directory of programs."""

    directory: Path

    @classmethod
    def make(cls, directory: Path, **programs: str) -> Installation:
        """Write `qekm` and, by name with _ for -, Python programs of these bodies."""
        directory.mkdir()
        bodies = {"qekm": QEKM, **{name.replace("_", "-"): ECHO for name in programs}}
        for name, text in bodies.items():
            body = programs.get(name.replace("-", "_"), "")
            (directory / name).write_text(text.format(python=sys.executable, body=body))
            (directory / name).chmod(0o755)
        return cls(directory)

    def run(self, *words: str, environment: dict[str, str] | None = None, **more: Any) -> Any:
        """Run `qekm` to its end."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QEKM_")}
        return subprocess.run(
            [str(self.directory / "qekm"), *words],
            env=kept | (environment or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,
        )
