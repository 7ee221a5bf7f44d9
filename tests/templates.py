"""Key managers that are made once for each way that tests want one, and then copied.

Making one takes longer than many a test: an RSA key, certificates, migrations. Those of one name are one
estate, so a test that needs two gives them two names.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from qekm.clock import now_us
from qekm.home import Home
from qekm.init import Wanted, make


@cache
def _template(name: str, keys: int, properties: tuple[tuple[str, str], ...]) -> Path:
    """Return the home of such a key manager, which nobody starts."""
    place = Path(tempfile.mkdtemp(prefix="qekm-template-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    (place / "backups").mkdir()  # a target that may be named by its way from the home
    make(Home(place / name), Wanted(keys=keys, properties=dict(properties)), now_us)
    return place / name


def copied(path: Path, keys: int, properties: Mapping[str, str]) -> Home:
    """Put a key manager in `path`: the same one for the same name, number of keys and properties.

    Made there, and no copy, if a property names a place: only this test has it.
    """
    if any(value.startswith("/") for value in properties.values()):
        make(Home(path), Wanted(keys=keys, properties=properties), now_us)
    else:
        template = _template(path.name, keys, tuple(sorted(properties.items())))
        shutil.copytree(template, path, dirs_exist_ok=True)
    return Home(path)
