"""Frames from which fuzzing starts: one good one of every message type and the published sessions."""

from __future__ import annotations

import json
from pathlib import Path

from tests.dkp.material import GOOD, LISTS, place, raw

SESSIONS = Path(__file__).resolve().parents[1] / "vectors" / "sessions.json"


def seeds() -> list[bytes]:
    """Return the frames."""
    found = []
    for kind, (needs, may) in LISTS.items():
        tlvs = [(tag, GOOD[tag]) for tag in sorted((*needs, *may), key=place)]
        found.append(raw(kind, tlvs))
    if SESSIONS.exists():
        for session in json.loads(SESSIONS.read_text())["sessions"]:
            found += [bytes.fromhex(frame["hex"]) for frame in session["frames"]]
    return found
