"""The systemd units of service and gateway, where systemd runs and has them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from qekm.doctor.finding import Seen, broken, doubtful, fine, unseen

UNITS = {"server": "qekm-server.service", "gateway": "qekm-gateway.service"}
_RUNS = Path("/run/systemd/system")  # sd_booted(3)
_SHOWN = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NRestarts"
_PATIENCE_S = 4.0


def judge(units: Iterable[Mapping[str, str]]) -> Iterator[Seen]:
    """Yield what systemd says is wrong with a unit. Pure."""
    for unit in units:
        name, state = unit.get("Id", ""), unit.get("ActiveState", "")
        if unit.get("LoadState") != "loaded":
            continue
        if state == "failed":
            told = f"{name} has failed: {unit.get('Result', '')}, status {unit.get('ExecMainStatus', '')}"
            yield broken(told, f"journalctl -u {name} -n 20; then: systemctl restart {name}")
        elif state == "inactive" and unit.get("UnitFileState") == "enabled":
            yield doubtful(f"{name} is enabled and does not run", f"systemctl start {name}")
        elif unit.get("NRestarts", "0") not in ("", "0"):
            yield doubtful(f"{name} was restarted {unit['NRestarts']} times", f"journalctl -u {name} -n 20")
        else:
            yield fine(f"{name} is {state}")


def look(names: Iterable[str]) -> Iterator[Seen]:
    """Ask systemd."""
    if not _RUNS.is_dir():
        yield unseen("systemd does not run here")
        return
    wanted = [UNITS[name] for name in names]
    words = ["systemctl", "show", f"--property={_SHOWN}", "--", *wanted]
    try:
        done = subprocess.run(  # noqa: S603 - no word of a stranger's
            words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        yield doubtful("systemd does not answer", "systemctl is-system-running")
        return
    yield from list(judge(parse(done.stdout))) or [unseen(f"there is no unit {' or '.join(wanted)}")]


def parse(text: str) -> Iterator[dict[str, str]]:
    """Yield the properties of each unit from what `systemctl show` prints. Pure."""
    for block in text.split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines() if "=" in line)
        if found := {name: value for name, _, value in pairs}:
            yield found
