"""docs/api.md, made from the contract and the table of who may call: `python -m tests.api_page` writes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pb2 import FileDescriptorSet as FileSet

from qekm.api.authority import RULES
from tests.pages import ROOT

PAGE = ROOT / "docs" / "api.md"
EXAMPLES = ROOT / "docs" / "examples"
PACKAGE = ".qekm.v1."
HEAD = """\
# The API

Everything that `qekm` does it does by these calls, over gRPC with mTLS: on port 3802 of the server's own
machine (`grpc.port`), and for persons on the SSL port (`TransportListener.ssl.port`) from others, where a
command password is asked for, too. The contract is [proto/qekm/v1](../proto/qekm/v1); what was released is
never broken (`buf breaking` against proto/released).

A caller is who its certificate says: a role and a name. **Who may call what** stands beside each call; what
does not stand there nobody may. A person whose account has a command password opens a session with
`AccountsService/Login` and sends it with each call as metadata `qekm-session-bin`. Times are UTC. Lists
come in pages: send `next_page_token` back as `page_token` until it is empty.

**Errors** have a gRPC status, a message that says what is wrong, and as details a `google.rpc.ErrorInfo`
whose `reason` is one of [those listed](errors.md#errors-of-this-product), and a
`google.rpc.LocalizedMessage` with what to do, where that is known.

## From Python

```python
{python}```

`connect_async` is the same for asyncio. Errors are the tree of `qekm.errors`.

## From Node.js

With `@grpc/grpc-js` and `@grpc/proto-loader`; [package.json](examples/package.json) is beside it.

```js
{node}```

## From a shell

With [buf](https://buf.build/docs), which needs the contract, or `grpc.reflection=on`:

```sh
{shell}```
"""
FOOT = """
This page is made from `proto/qekm/v1` and `qekm/api/authority.py`; a test compares them.
"""
_NUMBERS = {value: name.removeprefix("TYPE_").lower() for name, value in FieldDescriptorProto.Type.items()}
_MESSAGES, _SERVICES, _ENUMS, _METHODS, _FIELDS, _VALUES = (
    4,
    6,
    5,
    2,
    2,
    2,
)  # descriptor.proto's field numbers


@cache
def contract() -> tuple[FileDescriptorProto, ...]:
    """Return the files of the contract with their comments, in the order of their names."""
    buf = Path(sys.executable).with_name("buf")
    built = subprocess.run([buf, "build", "proto", "-o", "-"], cwd=ROOT, capture_output=True, check=True)
    files = FileSet.FromString(built.stdout).file
    return tuple(sorted((each for each in files if each.package == "qekm.v1"), key=lambda each: each.name))


def page() -> str:
    """Return the page."""
    texts = {
        kind: (EXAMPLES / f"activity.{kind}").read_text(encoding="utf-8") for kind in ("py", "mjs", "sh")
    }
    head = HEAD.format(python=texts["py"], node=texts["mjs"], shell=texts["sh"])
    return "\n".join([head, *(line for file in contract() for line in _file(file)), FOOT])


def _file(file: FileDescriptorProto) -> Iterator[str]:
    told = {tuple(each.path): _line(each.leading_comments) for each in file.source_code_info.location}
    for place, service in enumerate(file.service):
        yield f"## {service.name}\n\n{told.get((_SERVICES, place), '')}\n"
        yield "| call | asks with | answers | who may | |\n|---|---|---|---|---|"
        for number, method in enumerate(service.method):
            asks = _type(method.input_type) + (", a stream" if method.client_streaming else "")
            gives = _type(method.output_type) + (", a stream" if method.server_streaming else "")
            what = told.get((_SERVICES, place, _METHODS, number), "")
            yield f"| `{method.name}` | {asks} | {gives} | {_who(service.name, method.name)} | {what} |"
        yield ""
    for place, message in enumerate(file.message_type):
        yield from _message(message, (_MESSAGES, place), told)
    for place, enum in enumerate(file.enum_type):
        yield f"### {enum.name}\n\n{told.get((_ENUMS, place), '')}\n\n| value | | |\n|---|---|---|"
        for number, value in enumerate(enum.value):
            what = told.get((_ENUMS, place, _VALUES, number), "")
            yield f"| `{value.name}` | {value.number} | {what} |"
        yield ""


def _message(
    message: DescriptorProto, path: tuple[int, ...], told: dict[tuple[int, ...], str]
) -> Iterator[str]:
    yield f"### {message.name}\n\n{told.get(path, '')}\n"
    if message.field:
        yield "| field | type | |\n|---|---|---|"
    for number, field in enumerate(message.field):
        what = told.get((*path, _FIELDS, number), "")
        yield f"| `{field.name}` | {_kind(field, message)} | {what} |"
    yield ""


def _kind(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    """Return a field's type as a reader wants it; all maps of the contract are from text to text."""
    if any(
        each.options.map_entry and field.type_name.endswith(f".{each.name}") for each in message.nested_type
    ):
        return "`map<string, string>`"
    many = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    return many + (_type(field.type_name) if field.type_name else f"`{_NUMBERS[field.type]}`")


def _type(name: str) -> str:
    """Return a message's name, as a link where it is on this page."""
    if not name.startswith(PACKAGE):
        return f"`{name.removeprefix('.')}`"
    short = name.removeprefix(PACKAGE)
    return f"[{short}](#{short.lower()})" if "." not in short else f"`{short}`"


def _who(service: str, method: str) -> str:
    roles = RULES.get(f"/qekm.v1.{service}/{method}", frozenset())
    return ", ".join(sorted(role.name.lower() for role in roles)) or "nobody"


def _line(comment: str) -> str:
    return " ".join(comment.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
