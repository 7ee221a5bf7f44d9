"""What scripts of the package do to a home, without a machine: purging, and what a gateway is given."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy.debian.launch import read_settings
from tests.pages import ROOT

WORDS = "destroy all keys"
PRIVATE = (
    "pki/administrator.key",
    "pki/server.key",
    "run/session-administrator",
    "root.key",
    "store/qekm.db",
)
GIVEN = ("KeyManagerConfig.properties", "pki/gateway.pem", "pki/gateway.key", "pki/trust.pem")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home whose files hold their own names."""
    for name in (*PRIVATE, *GIVEN):
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "home"


def purge(home: Path) -> str:
    command = ["sh", str(ROOT / "deploy/debian/postrm"), "purge"]
    environ = os.environ | {"QEKM_PURGE": WORDS, "QEKM_PURGED": str(home)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def lay_out(home: Path) -> None:
    subprocess.run(["sh", str(ROOT / "deploy/systemd/gateway-home"), str(home)], check=True, timeout=60)


def seen(home: Path) -> set[str]:
    """Return what the files hold that the gateway sees."""
    return {path.read_text() for path in (home / "gateway").rglob("*") if path.is_file()}


def test_a_purge_in_words_leaves_nothing(home: Path) -> None:
    assert "is destroyed" in purge(home)
    assert not home.exists()


def test_a_purge_in_words_does_not_take_a_link_for_the_keys(home: Path) -> None:
    link = home.with_name("link")
    link.symlink_to(home)
    said = purge(link)
    assert "nothing is destroyed" in said
    assert str(home) in said
    assert (home / "root.key").exists()
    assert link.is_symlink()


def test_the_gateway_is_given_its_own_and_nothing_else(home: Path) -> None:
    lay_out(home)
    assert seen(home) == set(GIVEN)


def test_what_the_gateway_renewed_stays_and_what_the_home_renewed_comes(home: Path) -> None:
    lay_out(home)
    for path, written, age in (
        (home / "gateway/pki/gateway.pem", "renewed by the gateway", 10),
        (home / "pki/trust.pem", "a new authority", 20),
    ):
        path.write_text(written)
        later = path.stat().st_mtime + age
        os.utime(path, (later, later))
    lay_out(home)
    assert {"renewed by the gateway", "a new authority"} < seen(home)
    assert (home / "pki/gateway.pem").read_text() == "renewed by the gateway"


def test_links_that_a_taken_gateway_made_lead_nowhere(home: Path) -> None:
    lay_out(home)
    own = home / "gateway/pki/gateway.pem"
    own.unlink()
    own.symlink_to(home / "pki/administrator.key")
    (home / "gateway/KeyManagerConfig.properties").unlink()
    (home / "gateway/KeyManagerConfig.properties").symlink_to(home / "root.key")
    (home / "gateway/run").rmdir()
    (home / "gateway/run").symlink_to(home / "store")
    os.utime(home / "pki/administrator.key", (4e9, 4e9))
    lay_out(home)
    assert (home / "root.key").read_text() == "root.key"
    assert (home / "pki/gateway.pem").read_text() == "pki/gateway.pem"
    assert not (home / "gateway/run").is_symlink()


def test_root_reads_no_link_and_no_pipe_for_settings(home: Path) -> None:
    settings = home / GIVEN[0]
    assert read_settings(settings) == GIVEN[0]
    link, pipe = home / "link", home / "pipe"
    link.symlink_to(settings)
    os.mkfifo(pipe)
    for path in (link, pipe, home):
        with pytest.raises(OSError, match=r"Errno"):
            read_settings(path)
