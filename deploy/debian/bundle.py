"""What is below /usr/lib/qekm: the program and its libraries, as an interpreter of Debian's finds them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

PYTHON = "3.11"
SITE = Path(f"lib/python{PYTHON}/site-packages")
_MADE_HERE = (
    "direct_url.json",
    "RECORD",
    "REQUESTED",
    "INSTALLER",
)  # names of this machine's, and sums of them
_RIGHTS = {True: 0o755, False: 0o644}


def bundle(source: Path, directory: Path) -> None:
    """Install the program of a checkout with what it needs, without anything that tells where it was made."""
    site, wheels = directory / SITE, directory / "wheels"
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, source)
    (wheel,) = wheels.glob("qekm-*.whl")
    only = ("--python-version", PYTHON, "--only-binary", ":all:", "--no-compile")
    _pip("install", *only, "--target", site, f"{wheel}[{','.join(_extras(source))}]")
    shutil.rmtree(wheels)
    shutil.rmtree(site / "bin")
    for path in [*site.glob("*.dist-info/*"), *site.rglob("*.pyi")]:
        if path.name in _MADE_HERE or (path.suffix == ".pyi" and not path.is_relative_to(site / "qekm")):
            path.unlink()
    for font in site.glob("reportlab/fonts/*.pfb"):  # Adobe's words are in them, and no report uses them
        font.unlink()
    objects = sorted(map(str, site.rglob("*.so*")))
    subprocess.run(["strip", "--strip-unneeded", *objects], check=True)  # noqa: S603, S607
    _environment(directory)


def _extras(source: Path) -> list[str]:
    """Return what the program can do with more libraries; a server wants all of it."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    return sorted(name for name in project["optional-dependencies"] if name != "dev")


def libraries(site: Path) -> list[str]:
    """Return the libraries of others, each with its version and what it says of its terms."""
    lines = []
    for found in distributions(path=[str(site)]):
        told = (found.metadata.get_all(name) for name in ("License-Expression", "License"))
        terms = next((texts[0] for texts in told if texts), "its terms are there")
        if found.name != "qekm":
            lines.append(f" {found.name} {found.version}: {terms.splitlines()[0]:.60}")
    return sorted(lines, key=str.lower)


def _environment(directory: Path) -> None:
    """Make it a virtual environment of Debian's interpreter, so that a child finds the same libraries."""
    (directory / "bin").mkdir()
    (directory / "bin" / "python3").symlink_to(f"/usr/bin/python{PYTHON}")
    config = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    (directory / "pyvenv.cfg").write_text(config)
    shutil.copy(Path(__file__).with_name("launch.py"), directory / SITE / "qekm_launch.py")
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(_RIGHTS[path.is_dir()])


def _pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    subprocess.run(command, check=True)  # noqa: S603
