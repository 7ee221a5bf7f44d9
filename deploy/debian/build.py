"""Make dist/qekm_VERSION_ARCHITECTURE.deb: `python -m deploy.debian.build`, or `make deb`.

The same source and the same libraries make the same bytes: times are the changelog's, names are sorted.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, date, datetime
from hashlib import md5
from pathlib import Path

from deploy.debian.bundle import SITE, bundle, libraries
from deploy.manual.__main__ import write as write_manual
from qekm import __version__

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAUNCHER = '#!/usr/lib/qekm/bin/python3 -I\nfrom qekm_launch import run\n\nrun("{module}", "{function}")\n'
UNPACKED = Path("usr/lib/qekm")
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/qekm",
    "zsh": "usr/share/zsh/vendor-completions/_qekm",
    "fish": "usr/share/fish/vendor_completions.d/qekm.fish",
}
# Where a file of deploy/ goes.
FILES = {
    "systemd/qekm-server.service": "lib/systemd/system/qekm-server.service",
    "systemd/qekm-gateway.service": "lib/systemd/system/qekm-gateway.service",
    "systemd/qekm-gateway-home.service": "lib/systemd/system/qekm-gateway-home.service",
    "systemd/sysusers.conf": "usr/lib/sysusers.d/qekm.conf",
    "systemd/tmpfiles.conf": "usr/lib/tmpfiles.d/qekm.conf",
    "debian/default": "etc/default/qekm",
    "debian/lintian-overrides": "usr/share/lintian/overrides/qekm",
    "README.md": "usr/share/doc/qekm/README.md",
    "prometheus/prometheus.yml": "usr/share/doc/qekm/prometheus/prometheus.yml",
    "prometheus/qekm.rules.yml": "usr/share/doc/qekm/prometheus/qekm.rules.yml",
    "grafana/qekm.json": "usr/share/doc/qekm/grafana/qekm.json",
}
GATEWAY_HOME = UNPACKED / "gateway-home"
SCRIPTS = ("postinst", "prerm", "postrm")


def main() -> None:
    """Make the package."""
    parser = argparse.ArgumentParser(description="Make the Debian package.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="directory of the package")
    parser.add_argument("--version", default=__version__, help="that it says it has")
    parser.add_argument(
        "--bundle", type=Path, help="program and libraries, made there if they are not there yet"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = options.bundle or Path(directory) / "bundle"
        if not made.exists():
            bundle(ROOT, made)
        tree = Path(directory) / "tree"
        lay_out(made, tree)
        print(pack(tree, options.output, options.version))


def lay_out(made: Path, tree: Path) -> None:
    """Put everything where it will be when it is installed."""
    shutil.copytree(made, tree / UNPACKED, symlinks=True)
    for name, place in FILES.items():
        _put(tree / place, (ROOT / "deploy" / name).read_bytes())
    _put(tree / GATEWAY_HOME, (ROOT / "deploy/systemd/gateway-home").read_bytes(), 0o755)
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in programs.items():
        module, _, function = entry.partition(":")
        _put(tree / "usr/bin" / name, LAUNCHER.format(module=module, function=function).encode(), 0o755)
    for shell, place in COMPLETIONS.items():
        _put(tree / place, _completion(shell))
    manual = tree / "usr/share/man"
    for page in write_manual(manual, f"{_released():%Y-%m-%d}"):
        _put(page.with_name(f"{page.name}.gz"), gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()
    documents = tree / "usr/share/doc/qekm"
    terms = "\n".join(libraries(tree / UNPACKED / SITE))
    _put(documents / "copyright", (HERE / "copyright").read_text().format(libraries=terms).encode())
    _put(documents / "changelog.gz", gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))


def pack(tree: Path, output: Path, version: str) -> Path:
    """Return the package that a tree becomes."""
    architecture = _told("dpkg", "--print-architecture")
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [
        f"{md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}"
        for path in files
    ]
    size = sum(path.stat().st_size for path in files) // 1024
    control = (HERE / "control").read_text().format(version=version, architecture=architecture, size=size)
    meta = tree / "DEBIAN"
    for name, text in {
        "control": control,
        "md5sums": "\n".join(sums) + "\n",
        "conffiles": "/etc/default/qekm\n",
    }.items():
        _put(meta / name, text.encode())
    for name in SCRIPTS:
        _put(meta / name, (HERE / name).read_bytes(), 0o755)
    for path in tree.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    output.mkdir(exist_ok=True, parents=True)
    made = output / f"qekm_{version}_{architecture}.deb"
    epoch = {"SOURCE_DATE_EPOCH": str(int(_released().timestamp()))}
    command = ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z1", str(tree), str(made)]
    subprocess.run(command, check=True, env=os.environ | epoch, stdout=subprocess.DEVNULL)  # noqa: S603
    return made


def _put(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _completion(shell: str) -> bytes:
    """Return the script that completes `qekm` in a shell."""
    program = f"from qekm_cli.app import complete; raise SystemExit(complete('source_{shell}'))"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout  # noqa: S603


def _released() -> datetime:
    """Return the day of the newest version that the changelog has a day for."""
    found = re.search(r"^## .*\((\d{4}-\d\d-\d\d)\)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert found, "the changelog has no day"
    return datetime.combine(date.fromisoformat(found[1]), datetime.min.time(), UTC)


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


if __name__ == "__main__":
    main()
