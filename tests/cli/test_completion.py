"""Shell completion: the scripts are valid and what they ask for is answered."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Qekm
from .installation import Installation


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.make(tmp_path_factory.mktemp("completion") / "bin")


def test_the_bash_script_is_valid_and_completes(installed: Installation, tmp_path: Path) -> None:
    script = tmp_path / "qekm.bash"
    script.write_text(installed.run("completion", "bash").stdout)
    subprocess.run(["bash", "-n", str(script)], check=True)
    for words, expected in (
        (("qekm", "ke"), ["keys", "keystore"]),
        (("qekm", "keystore", "slots", "add", "p"), ["password", "pkcs11"]),
        (("qekm", "keystore", "unlock", "--sh"), ["--shares", "--shares-file"]),
        (("qekm", "drives", "a"), ["add", "accept", "authorities"]),
        (("qekm", "drives", "authorities", "l"), ["list"]),
        (("qekm", "keys", "list", "--state", "a"), ["assigned", "active"]),
        (("qekm", "keys", "list", "--gr"), ["--group"]),
        (("qekm", "rep"), ["report"]),
        (("qekm", "report", "--format", ""), ["html", "pdf", "json"]),
        (("qekm", "completion", ""), ["bash", "zsh", "fish"]),
    ):
        listed = " ".join(f"'{word}'" for word in words)
        shell = (
            f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; "
            '_qekm_completion qekm; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        path = f"{installed.directory}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--norc", "-c", shell], capture_output=True, text=True, check=True, env={"PATH": path}
        )
        assert done.stderr == ""
        assert sorted(done.stdout.split()) == sorted(expected)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_scripts_name_the_program_and_are_valid_where_the_shell_is_there(
    installed: Installation, shell: str, tmp_path: Path
) -> None:
    text = installed.run("completion", shell).stdout
    assert f"_QEKM_COMPLETE=complete_{shell}" in text
    if shutil.which(shell):
        (tmp_path / "script").write_text(text)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_zsh_and_fish_are_answered_too(installed: Installation) -> None:
    zsh = installed.run(environment={"_QEKM_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "qekm gr"})
    assert '"groups"' in zsh.stdout
    fish = installed.run(
        environment={
            "_QEKM_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_ARGS": "qekm gr",
        }
    )
    assert fish.stdout.startswith("groups\t")


def test_completing_never_talks_to_a_service_nor_fails_loudly(installed: Installation) -> None:
    for words in ("qekm nonsense ", "qekm keys show ", "qekm --target bad keys ", "qekm 'unfinished"):
        count = str(len(words.split()) - (0 if words.endswith(" ") else 1))
        done = installed.run(
            environment={"_QEKM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_refused_with_those_that_are_known(qekm: Qekm) -> None:
    told = qekm("completion", "tcsh")
    assert told.code == 2
    assert "'bash', 'zsh', 'fish'" in told.err
    assert qekm("completion").code == 2
