"""`qekm errors`: what a code or an error means."""

import pytest

from qekm.explanations import EXPLANATIONS, REASONS

from .conftest import Qekm


def test_list_has_every_code(qekm: Qekm) -> None:
    told = qekm("errors", "list")
    assert [line.split()[0] for line in told.lines] == ["CODE", *EXPLANATIONS]
    rows = qekm("errors", "list", "--json").document["errors"]
    assert [row["code"] for row in rows] == list(EXPLANATIONS)
    assert rows[0]["actions"]


def test_list_has_every_error_of_ours(qekm: Qekm) -> None:
    told = qekm("errors", "list", "--ours")
    assert [line.split()[0] for line in told.lines] == ["ERROR", *REASONS]
    assert told.lines[1].split(maxsplit=3) == ["BAD_ARGUMENT", "2", "EE0F", REASONS["BAD_ARGUMENT"].meaning]
    assert len(qekm("errors", "list", "--ours", "--json").document["errors"]) == len(REASONS)


@pytest.mark.parametrize("words", [("EE31",), ("0xEE31",), ("ee31",), ("EE 31",), ("EE", "31"), ("05EE31",)])
def test_a_code_is_explained_in_all_its_spellings(qekm: Qekm, words: tuple[str, ...]) -> None:
    told = qekm("errors", "explain", *words)
    assert told.code == 0
    assert [line.split(maxsplit=1)[0] for line in told.lines[:2]] == ["Code", "Title"]
    assert "Errors that are related to the keystore occurred." in told.lines[1]
    assert told.lines[6].startswith(" 1. ")
    assert told.lines[-1].startswith(f"{len(EXPLANATIONS['EE31'].actions):>2}. ")


def test_a_code_as_json_has_the_actions_in_order(qekm: Qekm) -> None:
    document = qekm("errors", "explain", "EF01", "--json").document
    assert document["actions"] == list(EXPLANATIONS["EF01"].actions)
    assert document["errors"] == ["UNKNOWN_DRIVE"]


@pytest.mark.parametrize("name", ["PORT_IN_USE", "port_in_use", "PortInUse", "port-in-use"])
def test_an_error_of_ours_is_explained(qekm: Qekm, name: str) -> None:
    told = qekm("errors", "explain", name)
    assert told.lines == [
        "Error       PORT_IN_USE",
        "Meaning     A port that is to be listened on is taken.",
        "Exit code   6",
        "Hint        -",
        "To a drive  EE0F",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EE33", "EE34"),
        ("PORT_IN_USED", "PORT_IN_USE"),
        ("UNKNOWN_DRIVES", "UNKNOWN_DRIVE"),
        ("nothing like it", "list them with: qekm errors list"),
        ("", "list them with: qekm errors list"),
    ],
)
def test_what_is_unknown_names_what_comes_near(qekm: Qekm, name: str, hint: str) -> None:
    told = qekm("errors", "explain", name)
    assert (told.code, told.out) == (2, "")
    assert "is no code and no error that is known here" in told.err
    assert hint in told.err


def test_nothing_to_explain_is_an_error(qekm: Qekm) -> None:
    assert qekm("errors", "explain").code == 2


def test_no_service_is_asked(qekm: Qekm, service: object) -> None:
    qekm("errors", "list")
    qekm("errors", "explain", "EE31")
    assert service.connections == []  # type: ignore[attr-defined]
