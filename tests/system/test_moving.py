"""What docs/moving-from-the-original.md has people do, command by command, as it is printed there."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.home import Home
from qekm_gateway.simulator.authority import make_authority
from tests.cli.terminal import typed
from tests.fakes.original import SERIALS, Original, alias, install, ours
from tests.pages import ROOT, joined, split
from tests.system.command import QEKM
from tests.system.processes import environment

PAGE = ROOT / "docs" / "moving-from-the-original.md"
LINES = [line for block in split(PAGE)[0] for line in joined(block.text) if line.startswith("qekm ")]
INIT = "qekm init --from /mnt/qekm-old --backup-to /mnt/backup"
FREE = [
    f"--property={name}=0"
    for name in (
        *("TransportListener.tcp.port", "grpc.port", "health.port", "metrics.port"),
        "gateway.metrics.port",
    )
]
pytestmark = pytest.mark.slow


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Original]:
    """Give an installation, and whatever else the page names, where it is run; end what it starts."""
    (tmp_path / "backup").mkdir()
    authority = make_authority(now_us()).certificate.public_bytes(Encoding.PEM)
    (tmp_path / "drive-authority.pem").write_bytes(authority)
    yield install(tmp_path, ours(5))
    run(tmp_path, "qekm server stop")


def run(place: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the page."""
    return subprocess.run(
        [*QEKM, *shlex.split(line)[1:]],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=place,
        env=environment(QEKM_HOME=str(place / "home")),
    )


def test_the_page_is_run_from_its_first_to_its_last_command(old: Original, tmp_path: Path) -> None:
    assert LINES[0] == INIT
    password = secrets.token_urlsafe(12)
    line = INIT.replace("/mnt/qekm-old", str(old.path)).replace("/mnt/backup", str(tmp_path / "backup"))
    here = [
        "--same-disk",
        "--no-command-password",
        "--keys",
        "8",
        *FREE,
    ]  # not what an administrator would say
    environ = {"QEKM_HOME": str(tmp_path / "home")}
    code, screen = typed([*QEKM, *shlex.split(line)[1:], *here], [old.password, password, password], environ)
    assert code == 0, screen
    prompts = ("Password of the old keystore: |", "Keystore password: |", "The same again: |")
    places = [screen.index(prompt) for prompt in prompts]
    assert places == sorted(places)
    assert f"5 keys of EKMKeys.jck, into group migrated: {alias(1)} to {alias(5)}" in screen
    assert "5 recovery shares" in screen
    said = {}
    for line in LINES[1:]:
        done = run(tmp_path, line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout
    assert all(name in said["qekm keys list --group migrated"] for name in old.keys)
    assert all(serial in said["qekm drives list"] for serial in SERIALS)
    assert "verified" in said["qekm backup list"].lower()
    trail = run(tmp_path, "qekm audit list --limit 0").stdout
    assert "key.import" in trail
    assert (Home(tmp_path / "home").takeover).exists()


def test_every_message_that_the_page_explains_is_one_of_ours() -> None:
    """Each phrase of its table, as far as it is not filled in, is in the code."""
    code = "".join(path.read_text() for path in (ROOT / "qekm").rglob("*.py"))
    rows = [
        line.split("|")[1].strip(" `") for line in PAGE.read_text().splitlines() if line.startswith("| `")
    ]
    explained = rows[rows.index("the password does not open the keystore") :]
    parts = [part.strip(" .'`,") for row in explained for part in row.split("…")]
    for said in (part for part in parts if len(part) > 12 and not any(letter.isdigit() for letter in part)):
        assert said in code, said
