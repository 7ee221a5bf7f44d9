"""Versions, compared. Pure."""

from __future__ import annotations


def differs(theirs: str, ours: str) -> bool:
    """Tell whether two versions are not the same."""
    return bool(theirs) and theirs != ours


def stale(theirs: str, ours: str) -> bool:
    """Tell whether two versions differ in more than the last number: then one of both was not updated."""
    return _release(theirs) != _release(ours)


def older(theirs: str, ours: str) -> bool:
    """Tell whether a version is older than another, in more than the last number."""
    return _release(theirs) < _release(ours)


def _release(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
