"""What the documents say is so: links, commands, tables, names; and the rules that they set for the code."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.core import TyperCommand

from qekm.errors import EXIT_CODES, QekmError
from qekm.explanations import EXPLANATIONS
from qekm.properties import PROPERTIES
from qekm.rpc.status import CODES as STATUSES
from qekm.serving.faults import CODES as SENSES
from qekm.serving.faults import INTERNAL
from qekm_cli.app import PROGRAM, Nouns
from qekm_cli.connection import Invocation
from qekm_cli.family import VERBS
from tests import configuration_page, errors_page, exit_codes
from tests.commands import SCRIPTS, leaf_of, misspelt
from tests.pages import ROOT, anchors, commands, documents, links, split

README = ROOT / "README.md"
PACKAGES = (ROOT / "qekm", ROOT / "gateway", ROOT / "cli")
GENERATED = ROOT / "qekm" / "v1"
CATEGORIES = QekmError.__subclasses__()
LEAVES = [leaf for category in CATEGORIES for leaf in category.__subclasses__()]


def ids(items: list[Path]) -> list[str]:
    """Return names for the tests of pages."""
    return [str(item.relative_to(ROOT)) for item in items]


# Links.


@pytest.mark.parametrize("page", documents(), ids=ids(documents()))
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n\n    [no](code)\n\n[x](y.md#z) and `[no](code)` [[a](b)](c)\n\n# A b c\n")
    assert list(links(page)) == ["y.md#z", "c"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}


@pytest.mark.parametrize("page", documents(), ids=ids(documents()))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A file with VERSION in its name is made by a release."""
    places = [ROOT, ROOT / "qekm", ROOT / "gateway" / "qekm_gateway", ROOT / "cli"]
    found = re.findall(r"`([\w-]+(?:/[\w.-]+)*\.(?:py|md|json|toml|proto))`", split(page)[1])
    assert [name for name in found if not any((place / name).exists() for place in places)] == []


def test_everything_in_the_picture_of_the_tree_is_there() -> None:
    (tree,) = (block.text for block in split(ROOT / "ARCHITECTURE.md")[0] if "proto/qekm/v1" in block.text)
    folder = ROOT
    for line in tree.splitlines():
        names = re.match(r"(?:[\w/*.]+(?:\.py|\.proto|/) ?)+", line.strip())
        assert names is not None, line
        for name in names[0].split():
            place = folder if line.startswith("  ") else ROOT
            assert list(place.glob(name)), f"{name} is not in {place}"
        if not line.startswith("  "):
            folder = ROOT / names[0].split()[0]


# Commands.


@pytest.mark.parametrize("page", documents(), ids=ids(documents()))
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    lines = [line for program in SCRIPTS for line in commands(page, program)]
    assert {line: misspelt(line) for line in lines if misspelt(line)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "qekm drives lost",
        "qekm keys list --groups x",
        "qekm sever start",
        "qekm adddrive -drive X",
        "qekm modconfig -sets X",
        "qekm-server chek",
        "qekm-server check --keyfile x",
        "qekm-server config sett X",
        "debugOnQEKM",
    ],
)
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    assert misspelt(line) != []


def test_the_readme_shows_commands() -> None:
    assert len(set(commands(README, PROGRAM))) >= 10


@pytest.mark.parametrize("line", sorted(set(commands(README, PROGRAM)) - {"qekm --help"}))
def test_every_command_of_the_readme_parses_completely(line: str) -> None:
    words = shlex.split(line)[1:]
    with Nouns().make_context(PROGRAM, words, obj=Invocation()) as context:
        command, rest = leaf_of(context)
        assert isinstance(command, TyperCommand)
        with command.make_context("x", rest, parent=context) as parsed:
            assert parsed.args == []


def messages() -> dict[str, str]:
    """Return the command lines that the packages' texts name, hints above all, each with its module."""
    sign = r"(?:(?:with|see|run|by): ?|: |`|\bruns? )"
    name = r"((?:qekm|qekm-server)(?: (?:--?)?[a-z][A-Za-z-]*| [A-Z]+)+|[a-z]+[A-Za-z]*QEKMServer)"
    found: dict[str, str] = {}
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= dict.fromkeys(re.findall(sign + name, node.value), str(module.relative_to(ROOT)))
    return found


def test_every_command_that_a_message_names_exists() -> None:
    lines = messages()
    assert len(lines) > 60
    assert {line: where for line, where in lines.items() if misspelt(line)} == {}


def test_every_way_of_ours_that_stands_beside_a_verb_of_the_original_exists() -> None:
    assert {verb: place.ours for verb, place in VERBS.items() if place.ours and misspelt(place.ours)} == {}


def is_there(name: str) -> bool:
    """Tell whether what an action names in backticks exists: a command, a property, a log file."""
    if name.split(maxsplit=1)[0] in SCRIPTS:
        return misspelt(name) == []
    return name in PROPERTIES or name.startswith("keymanager/")


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_everything_that_an_action_names_exists(code: str) -> None:
    row = EXPLANATIONS[code]
    names = re.findall("`([^`]*)`", " ".join((row.here, *row.actions)))
    assert [name for name in names if not is_there(name)] == []
    assert " ".join((row.here, *row.actions)).count("`") == 2 * len(names)
    assert row.kind == "condition" or names, "who reads it must be told a command"


def test_what_an_action_names_that_does_not_exist_would_be_found() -> None:
    for name in ("qekm drives lost", "listdrives -drivename X", "no.such.property", "debugQEKMServer"):
        assert not is_there(name)


def test_every_target_of_make_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands(README, "make")}
    assert named >= {"demo", "test", "install"}
    assert named <= targets


# Tables.


def test_the_page_of_exit_codes_is_what_the_code_says() -> None:
    """To write it anew: python -m tests.exit_codes."""
    assert exit_codes.PAGE.read_text(encoding="utf-8") == exit_codes.page()


def test_the_page_of_errors_is_what_the_code_says() -> None:
    """To write it anew: python -m tests.errors_page."""
    assert errors_page.PAGE.read_text(encoding="utf-8") == errors_page.page()


def test_the_page_of_the_configuration_is_what_the_code_says() -> None:
    """To write it anew: python -m tests.configuration_page."""
    assert configuration_page.PAGE.read_text(encoding="utf-8") == configuration_page.page()


def test_every_category_of_errors_has_an_exit_code_and_a_status() -> None:
    assert set(EXIT_CODES) == set(STATUSES) == set(CATEGORIES)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_error_has_exactly_one_place_among_the_drives_codes(leaf: type[QekmError]) -> None:
    assert (leaf in SENSES) != (leaf in INTERNAL)


def test_only_leaves_are_raised() -> None:
    assert all(leaf.__subclasses__() == [] for leaf in LEAVES)
    assert not {*SENSES, *INTERNAL} - set(LEAVES)


# The code itself.


def modules() -> list[Path]:
    """Return every module of the packages that is written by hand."""
    found = (path for package in PACKAGES for path in package.rglob("*.py"))
    return sorted(path for path in found if GENERATED not in path.parents)


@pytest.mark.parametrize("module", modules(), ids=ids(modules()))
def test_a_module_is_short_and_its_name_says_something(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) < 300
    assert not {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"} & {
        module.stem,
        module.parent.name,
    }


def versioned() -> list[Path]:
    """Return every file of the repository, those not yet committed included."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    """Homes and work directories of people and build machines, and wherever this checkout happens to be."""
    somewhere = r"(?<![\w.$})~*-])/(?:home|Users|root|work|builds|workspace)/\w"
    here = re.escape(str(ROOT)) + r"(?![\w-])"
    pattern = re.compile(f"{somewhere}|{here}".encode())
    assert pattern.search(b"see /" + b"home/anna/notes")
    assert [path for path in versioned() if pattern.search(path.read_bytes())] == []
