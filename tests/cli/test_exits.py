"""The table of exit codes."""

from pathlib import Path

import pytest

from qekm.errors import EXIT_CODES, EXIT_VERDICT
from qekm_cli.exits import BROKEN_PIPE, INTERRUPTED, MEANINGS, USAGE, Ending, ending_of


def test_every_code_there_is_has_a_meaning_and_no_other_has() -> None:
    assert set(MEANINGS) == {0, 1, USAGE, EXIT_VERDICT, INTERRUPTED, BROKEN_PIPE, *EXIT_CODES.values()}


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    try:
        (tmp_path / "none").read_text()
    except OSError as error:
        ending = ending_of(error)
    assert (ending.code, ending.message) == (USAGE, f"{tmp_path / 'none'}: No such file or directory")
    assert ending_of(OSError("odd")).message == "odd"


def test_an_argument_that_is_not_utf_8_is_named() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "\udcff".encode()
    assert ending_of(caught.value) == Ending(2, "'\\udcff' is not text in UTF-8")
    with pytest.raises(UnicodeEncodeError) as caught:
        "ü".encode("ascii")
    assert ending_of(caught.value).code == 1
