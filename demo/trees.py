"""A directory tree: what is in it, as hashes; snippets of its files, and whether another file shows them."""

from __future__ import annotations

import mmap
import os
import random
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

SNIPPET_LENGTH = 32
MOST_SNIPPETS, FEWEST_SNIPPETS = 400, 20
_SEARCH_BUDGET = 2_000_000_000  # bytes to look through, a few seconds
_PLAIN_ENOUGH = 12  # different byte values in a snippet: zeros and rulers are found anywhere

# What a working copy of this repository has that nobody backs up.
LEFT_OUT = (
    ".venv",
    ".git",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
    ".demo",
)


def list_tree(root: Path, left_out: Sequence[str] = ()) -> dict[str, str]:
    """Return path -> what is there (SHA-256 of a file, target of a link, "directory") for a whole tree."""
    found = {}
    for path in _walk(root, frozenset(left_out)):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "directory"
        elif path.is_file():
            with path.open("rb") as file:
                digest = sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            found[name] = digest.hexdigest()
    return found


def digest_of(tree: dict[str, str]) -> str:
    """Return one SHA-256 for a tree: of its sorted list of paths and hashes."""
    return sha256("".join(f"{what}  {name}\n" for name, what in sorted(tree.items())).encode()).hexdigest()


def size_of(root: Path, tree: dict[str, str]) -> tuple[int, int]:
    """Return how many files a tree has, and how many bytes in them."""
    files = [root / name for name, what in tree.items() if len(what) == 64 and what != "directory"]
    return len(files), sum(path.stat().st_size for path in files)


def pick_snippets(root: Path, tree: dict[str, str], count: int, chance: random.Random) -> list[bytes]:
    """Return up to count snippets of 32 bytes from random places of random files."""
    files = [root / name for name, what in tree.items() if len(what) == 64]
    snippets: set[bytes] = set()
    for _ in range(count * 20):
        if not files or len(snippets) == count:
            break
        path = chance.choice(files)
        length = path.stat().st_size
        if length < SNIPPET_LENGTH:
            continue
        with path.open("rb") as file:
            file.seek(chance.randrange(length - SNIPPET_LENGTH + 1))
            snippet = file.read(SNIPPET_LENGTH)
        if len(snippet) == SNIPPET_LENGTH and len(set(snippet)) >= _PLAIN_ENOUGH:
            snippets.add(snippet)
    return sorted(snippets)


def snippet_count(size: int) -> int:
    """Return how many snippets can be looked for in a file of this size in a few seconds."""
    return max(FEWEST_SNIPPETS, min(MOST_SNIPPETS, _SEARCH_BUDGET // max(size, 1)))


def count_found(path: Path, snippets: Sequence[bytes]) -> int:
    """Return how many of the snippets occur anywhere in a file, byte for byte."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(content.find(snippet) >= 0 for snippet in snippets)


def _walk(root: Path, left_out: frozenset[str]) -> Iterator[Path]:
    with os.scandir(root) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.name in left_out:
                continue
            path = Path(entry.path)
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(path, left_out)
