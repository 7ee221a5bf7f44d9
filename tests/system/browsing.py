"""A real browser that opens a file once: its picture, its print, what it read, what it complained of."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium")
ALONE = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the browser itself would call home
)
DARK = "--blink-settings=preferredColorScheme=0"


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page."""

    dom: str
    complaints: list[str]  # of the console
    picture: Path
    print: Path


def browse(page: Path, folder: Path, *more: str) -> Seen:
    """Open a file in a browser of its own; folder: a new one, for what it makes."""
    assert CHROMIUM
    folder.mkdir()
    picture, printed = folder / "picture.png", folder / "print.pdf"
    made = (f"--screenshot={picture}", f"--print-to-pdf={printed}", "--dump-dom")
    place = (f"--user-data-dir={folder / 'profile'}", "--window-size=1000,3000", "--hide-scrollbars")
    words = [CHROMIUM, *ALONE, *place, *made, "--enable-logging=stderr", *more, page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True)
    shutil.rmtree(folder / "profile", ignore_errors=True)
    return Seen(
        done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line], picture, printed
    )
