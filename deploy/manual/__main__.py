"""Write every manual page below a directory: `python -m deploy.manual DIR [YYYY-MM-DD]`."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.manual import commands, parsers, properties


def write(directory: Path, date: str = "") -> list[Path]:
    """Write the pages as man(1) finds them below `directory` and return their files."""
    written = []
    for page in (*commands.pages(date), *parsers.pages(date), *properties.pages(date)):
        path = directory / page.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.dump(), encoding="ascii")
        written.append(path)
    return written


if __name__ == "__main__":
    write(Path(sys.argv[1]), *sys.argv[2:3])
