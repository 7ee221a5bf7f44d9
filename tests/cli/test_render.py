"""Messages as plain values, tables and documents."""

import json

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from qekm.v1 import (
    audit_pb2,
    certificates_pb2,
    diagnosis_pb2,
    drives_pb2,
    groups_pb2,
    keystore_pb2,
    server_pb2,
)
from qekm_cli.render import Column, Moment, cell, plain, table

MODULES = (audit_pb2, certificates_pb2, diagnosis_pb2, drives_pb2, groups_pb2, keystore_pb2, server_pb2)


@pytest.mark.parametrize("module", MODULES)
def test_every_message_of_the_contract_becomes_json(module: object) -> None:
    for name, descriptor in module.DESCRIPTOR.message_types_by_name.items():  # type: ignore[attr-defined]
        message = getattr(module, name)()
        for field in descriptor.fields:
            if field.is_repeated:
                continue
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                getattr(message, field.name).SetInParent()
            elif field.type == FieldDescriptor.TYPE_BYTES:
                setattr(message, field.name, b"\x01")
            elif field.type == FieldDescriptor.TYPE_ENUM:
                setattr(message, field.name, 1)
        row = plain(message)
        assert set(row) == {field.name for field in descriptor.fields}
        json.dumps(row)


def test_a_state_of_a_newer_service_is_shown_as_its_number() -> None:
    assert plain(keystore_pb2.Key(state=99))["state"] == 99  # type: ignore[arg-type]


def test_times_are_utc_with_microseconds_for_programs_and_seconds_for_people() -> None:
    row = plain(audit_pb2.Record(time=Timestamp(seconds=0, nanos=1_999)))
    assert json.dumps(row["time"]) == '"1970-01-01T00:00:00.000001Z"'
    assert cell(row["time"]) == "1970-01-01T00:00:00Z"
    assert cell(Moment("2026-11-23T17:04:05.999999Z")) == "2026-11-23T17:04:05Z"


@given(st.text())
def test_no_text_leaves_its_line_or_steers_the_terminal(text: str) -> None:
    shown = cell(text)
    assert shown.isprintable()
    assert shown != ""


def test_widths_fit_the_longest_cell_and_the_last_column_runs_free() -> None:
    columns = (Column("A", "a"), Column("B", lambda row: row["a"] * 2), Column("LAST", "b"))
    rows = [{"a": "x", "b": "y" * 100}, {"a": "xxx", "b": ""}]
    assert list(table(columns, rows)) == [
        "A    B       LAST",
        "x    xx      " + "y" * 100,
        "xxx  xxxxxx  -",
    ]


def test_a_long_table_is_printed_while_it_comes_in() -> None:
    seen = []

    def rows() -> object:
        for number in range(3000):
            seen.append(number)
            yield {"a": number}

    lines = table((Column("N", "a"),), rows())  # type: ignore[arg-type]
    next(lines)
    assert len(seen) == 1000
