"""Keep the source away from the reading drive, so that what it reads can come from the cartridge alone.

Preferred: a process in a mount namespace of its own (unshare, of util-linux), in which an empty file system
lies over the source. Our programs are mounted aside first, since by default they are part of the source.
Where the system forbids such namespaces, as many containers do, a private copy is backed up instead, and
removed before the reading begins.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import qekm
import qekm_gateway

_PROBE_SECONDS = 30

# $1 source, $2 scratch folder, $3 virtual environment, $4 and $5 our packages, then the program's arguments.
_SCRIPT = """
set -e
source=$1 scratch=$2
mount --bind "$3" "$scratch/venv"
mount --bind "$4" "$scratch/packages/qekm"
mount --bind "$5" "$scratch/packages/qekm_gateway"
mount -t tmpfs -o ro,size=4k none "$source"
shift 5
echo "the reading process sees $(find "$source" -mindepth 1 | wc -l) files in $source" >&2
PYTHONPATH=$scratch/packages exec "$scratch/venv/bin/python" -P -m qekm_gateway.simulator.app "$@"
"""


class Namespace:
    """Runs `qekm-simulator` where the source is an empty directory."""

    def __init__(self, source: Path, folder: Path, venv: Path) -> None:
        scratch = folder / "aside"
        for name in ("venv", "packages/qekm", "packages/qekm_gateway"):
            (scratch / name).mkdir(parents=True, exist_ok=True)
        packages = [str(Path(package.__path__[0])) for package in (qekm, qekm_gateway)]
        self._prefix = [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _SCRIPT, "sh"),
            *(str(source), str(scratch), str(venv), *packages),
        ]
        self._folder = folder

    def works(self) -> bool:
        """Tell whether this system allows it."""
        if shutil.which("unshare") is None:
            return False
        try:
            tried = subprocess.run(
                self.command(["--help"]),
                cwd=self._folder,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return tried.returncode == 0 and b" sees 0 files" in tried.stderr

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the simulator with these arguments, away from the source."""
        return [*self._prefix, *arguments]
