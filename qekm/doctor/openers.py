"""Whether what opens the keystore at a start is there; nothing is opened, no PIN or key is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.doctor.finding import Seen, broken, doubtful, fine, unseen
from qekm.home import Home
from qekm.properties.alarms import MAIL_PASSWORD, WEBHOOK_SECRET

_CREDENTIAL = "credential:"
_TOLD = (MAIL_PASSWORD, WEBHOOK_SECRET, "log.syslog.key")  # other files that nobody else may read
_KEPT = {"key-file": "keystore.keyFile", "pkcs11": "keystore.pkcs11.pinFile"}
SECRET_FILES = (*_KEPT.values(), *_TOLD)
"""Properties whose value is the name of a file with a secret in it."""
_OTHERS = "open the keystore with another slot, a password or recovery shares: qekm keystore slots list"


def names_a_file(text: str, default: str = "") -> bool:
    """Tell whether such a value is surely a name, not the secret itself in its place. Pure."""
    return "/" in text or text.startswith(_CREDENTIAL) or text in ("", default)


def is_there(path: Path) -> bool:
    """Tell whether a file is there; what is too long for a name is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def secret_files(home: Home, settings: Settings) -> list[Path]:
    """Return every file that these properties name, whether it is used now or not."""
    texts = (settings[name] for name in SECRET_FILES)
    return [home.path / text for text in texts if text and not text.startswith(_CREDENTIAL)]


def files_of(home: Home, settings: Settings) -> list[Path]:
    """Return the file that opens the keystore, if one does."""
    text = settings[_KEPT[kind]] if (kind := settings["keystore.slot"]) in _KEPT else ""
    return [home.path / text] if text and not text.startswith(_CREDENTIAL) else []


def private_files(home: Home, settings: Settings) -> list[Path]:
    """Return every file outside pki that settings name and only their owner may read."""
    texts = (settings[name] for name in _TOLD)
    named = [home.path / text for text in texts if text and not text.startswith(_CREDENTIAL)]
    return [*files_of(home, settings), *named]


def look(home: Home, settings: Settings) -> Iterator[Seen]:
    """Yield what is missing."""
    kind = settings["keystore.slot"]
    if kind not in _KEPT:
        yield fine("a person's password opens it at every start")
        return
    name, text = _KEPT[kind], settings[_KEPT[kind]]
    if text.startswith(_CREDENTIAL):
        yield unseen(f"systemd passes it ({name}={text})", "systemctl cat qekm-server.service")
    for path in files_of(home, settings):
        known = is_there(path) or names_a_file(text, settings.table[name].default)
        yield from _present(path if known else Path("the file"), path, name)
    if kind == "pkcs11":
        module = Path(settings["keystore.pkcs11.module"] or "/nowhere")
        yield from _module(module)


def _present(shown: Path, path: Path, name: str) -> Iterator[Seen]:
    if not is_there(path):
        yield broken(f"{shown} ({name}) is missing", f"put it back; without it {_OTHERS}")
    elif not path.is_file():
        yield broken(f"{shown} ({name}) is no file", f"name the file itself: {name}")
    elif not path.stat().st_size:
        yield broken(f"{shown} ({name}) is empty", f"put it back; without it {_OTHERS}")
    else:
        yield fine(f"{shown} is there")


def _module(module: Path) -> Iterator[Seen]:
    if not module.is_file():
        yield broken(f"the PKCS#11 library {module} is missing", "install it, or set keystore.pkcs11.module")
    elif not module.is_absolute():
        yield doubtful(f"the PKCS#11 library {module} is named by a path that is not absolute")
