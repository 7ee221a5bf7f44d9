"""The picture fits whatever terminal it is drawn on, and nothing that people named steers that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from qekm_cli.top.drawing import draw, share, spark, texts
from qekm_cli.top.rates import Rates

from .looks import NOW, a_look, counts

RATES = Rates([counts(NOW - 2, 0), counts(NOW, 7, (3, 0, 0))])


def test_all_is_there_where_there_is_room() -> None:
    seen = "\n".join(texts(draw(a_look(), RATES, 120, 60)))
    for part in (
        "Q-EKM 9.9.9  up 1h",
        "DEGRADED",
        "written       3.5/s",
        "≤ 10 ms median",
        "0 ready of 900",
        "ekm2",
    ):
        assert part in seen
    assert "000000000000   10s      0 keys  key.install E01001L4" in seen
    assert "drive.refuse EE31" in seen
    assert "ekm1" not in seen, "a server is not one of its others"


@pytest.mark.parametrize("width", [1, 40, 200])
@pytest.mark.parametrize("height", [1, 12, 24])
@pytest.mark.parametrize("name", ["group", "\x1b[2J\x07", "名前" * 40, "a\u202eb", "🙈" * 9])
def test_no_line_is_wider_and_no_picture_higher_than_the_terminal(width: int, height: int, name: str) -> None:
    lines = texts(draw(a_look(300, 300, 300, name), RATES, width, height, f"away {name}"))
    assert 0 < len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)


def test_what_is_left_out_is_counted() -> None:
    lines = texts(draw(a_look(groups=300), RATES, 80, 30))
    (pool,) = (line for line in lines if line.startswith("POOL"))
    shown = sum(" of 900" in line for line in lines)
    assert pool == f"POOL  … {300 - shown} more"
    assert shown >= 1


def test_the_emptiest_group_is_drawn_first_and_in_red() -> None:
    look = a_look(groups=3)
    look.groups[2]["ready_count"] = 5
    look.groups[0] |= {"ready_count": 90, "low": False}
    drawn = [line for line in draw(look, RATES, 80, 40) if " of 900" in line.plain]
    assert [line.plain.split()[0] for line in drawn] == ["group1", "group2", "group0"]
    assert [str(line.spans[0].style) for line in drawn] == ["bold red", "bold red", "green"]


def test_a_service_without_a_gateway_and_one_that_does_not_answer_are_said() -> None:
    look = a_look()
    seen = texts(draw(replace(look, status={**look.status, "gateways": []}), RATES, 80, 40, "it is gone"))
    assert "none connected: no drive is served" in seen
    assert seen[1] == "NO ANSWER: it is gone"


def test_an_empty_key_manager_is_drawn() -> None:
    look = a_look(0, 0, 0)
    seen = texts(draw(replace(look, peers=[], status={**look.status, "degraded": []}), Rates(), 40, 20))
    assert [line for line in seen if line.isupper()] == ["SERVING"]
    assert "answers  - median, - 99 %" in seen


@pytest.mark.parametrize(
    ("wanted", "room", "given"),
    [
        ([(2, 9), (2, 9)], 6, [3, 3]),
        ([(2, 3), (2, 9)], 9, [3, 6]),
        ([(4, 9), (2, 9)], 3, [3, 0]),
        ([(2, 9), (2, 9)], 3, [3, 0]),
        ([(2, 2)], 9, [2]),
        ([], 5, []),
    ],
)
def test_rows_are_shared(wanted: list[tuple[int, int]], room: int, given: list[int]) -> None:
    assert share(wanted, room) == given


def test_what_is_not_nothing_shows_in_a_sparkline() -> None:
    assert spark([0.0, 0.001, 50.0, 100.0]) == " ▁▄█"
    assert spark([]) == ""
    assert spark([0.0]) == " "
