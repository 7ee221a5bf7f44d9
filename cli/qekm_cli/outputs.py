"""Files of keys: 0600, there whole or not at all, and never over another one unless that was said."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from qekm.durable import sync_directory, write_all


@contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[Callable[[bytes], None]]:
    """Give what writes the content of a file that is put in place when the block has ended well.

    A place for it is made before the block, so that nothing is asked of anybody for a file that cannot be
    written. BadParameter if a file is there and `force` is not given; OSError.
    """
    if path.exists() and not force:
        raise typer.BadParameter(f"{path} is there already; name another --output, or add --force")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600, O_EXCL
    try:
        with os.fdopen(handle, "wb") as file:
            yield lambda content: write_all(handle, content)
            file.flush()
            os.fsync(handle)
        if force:
            Path(name).replace(path)
        else:
            os.link(name, path)  # unlike a renaming, this fails if somebody made it meanwhile
        sync_directory(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)
