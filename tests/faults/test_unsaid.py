"""What the code never does with secrets, read from the code: nothing that can hold one is put into words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("qekm", "gateway/qekm_gateway", "cli/qekm_cli")
    for path in (ROOT / package).rglob("*.py")
    if "v1" not in path.parts and "simulator" not in path.parts
)
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
# Names of what carries keys, passwords, shares or frames; their attributes that tell no secret are fine.
CARRIERS = {
    *("request", "response", "batch", "step", "frame", "reply", "answer", "proof", "secret", "material"),
    *("password", "pin", "shares", "mnemonics", "root", "raw", "body", "payload", "ring", "seals"),
    *("key_file_content", "sealed", "wrapped", "parcel", "offer", "offers", "clear_key", "private", "words"),
}
FINE = {
    *("name", "alias", "aliases", "message", "advice", "serial", "version", "step_id", "session_id", "count"),
    *("strerror", "kind", "group", "request_id", "type", "flags", "lineno", "old_count", "trust_pem", "pem"),
    *("number", "after", "repair"),  # of a batch between servers, and whether stores are compared anew
}
TOLD = {"wanted.shares"}  # how many of how many, as an option says it
DUMPERS = {"MessageToJson", "MessageToDict", "MessageToString", "text_format", "json_format"}


def carriers(node: ast.AST) -> Iterator[str]:
    """Yield what an expression puts into words and may hold a secret; calls and fine attributes do not."""
    if isinstance(node, ast.Name) and node.id in CARRIERS:
        yield node.id
    elif isinstance(node, ast.Attribute):
        if node.attr in CARRIERS and ast.unparse(node) not in TOLD:
            yield ast.unparse(node)
        elif node.attr not in FINE:
            yield from carriers(node.value)
    elif isinstance(node, ast.JoinedStr | ast.Tuple | ast.List | ast.Dict | ast.BinOp | ast.Starred):
        for child in ast.iter_child_nodes(node):
            yield from carriers(child)
    elif isinstance(node, ast.Subscript | ast.FormattedValue | ast.keyword):
        yield from carriers(node.value)
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("repr", "str", "format")
    ):
        for argument in node.args:
            yield from carriers(argument)


def put_into_words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and expression of every carrier in a log call, print or f-string, and of every dumper."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found = carriers(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logs = "log" in ast.unparse(node.func.value).lower()
            found = (each for part in (*node.args, *node.keywords) for each in carriers(part) if logs)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            found = (each for part in node.args for each in carriers(part))
        elif isinstance(node, ast.Name | ast.alias):
            found = iter({getattr(node, "id", ""), getattr(node, "name", "").rpartition(".")[2]} & DUMPERS)
        else:
            continue
        yield from ((getattr(node, "lineno", 0), each) for each in found)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_can_hold_a_secret_is_put_into_words(path: Path) -> None:
    assert [*put_into_words(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    "line",
    [
        "_log.debug('%s', request)",
        "_log.info(f'got {request.proof}')",
        "logging.getLogger('x').error('x', extra={'fields': {'m': response}})",
        "raise ValueError(f'no {material!r}')",
        "print(repr(secret))",
        "_log.warning('%s', str(frame))",
        "from google.protobuf.json_format import MessageToJson",
        "what = f'{key.sealed}'",
    ],
)
def test_what_would_be_said_is_found(line: str) -> None:
    assert [*put_into_words(ast.parse(line))]
