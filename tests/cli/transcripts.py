"""Transcripts of commands as a file of text, and the player that types them on a terminal or into a pipe.

The form is told at the head of originals.txt.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .terminal import typed

KEYS = {"^D": "\x04", "^C": "\x03"}
_ANSWER = re.compile(r"(?P<prompt>.*: )(?:\{(?P<secret>[^}]*)\}|\[(?P<shown>[^]]*)\])$")
_NOT_SHOWN = re.compile(r"(?m)^DEGRADED .*\n")


@dataclass
class Transcript:
    """One command, what is typed to it, and what is shown."""

    command: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list)
    code: int = 0
    deed: str = ""  # what somebody else does; then there is no command


def read(path: Path) -> dict[str, list[Transcript]]:
    """Return the transcripts of a file by chapter."""
    chapters: dict[str, list[Transcript]] = {}
    title = ""
    for line in path.read_text().splitlines():
        sign, _, rest = line.partition(" ")
        if sign == "==":
            chapter: list[Transcript] = chapters.setdefault(rest, [])
        elif sign == "--":
            title = rest
        elif sign == "!":
            chapter.append(Transcript(deed=rest))
        elif sign == "$":
            chapter.append(Transcript(rest, title))
        elif sign == "=" and rest.isdecimal():
            chapter[-1].code = int(rest)
        elif line and not line.startswith("#"):
            chapter[-1].lines.append(line)
    return chapters


@dataclass(frozen=True)
class Stage:
    """Where commands are played: a directory of programs, the environment, passwords and other words."""

    programs: Path
    environ: Mapping[str, str]
    passwords: Mapping[str, str]
    words: Mapping[str, str]
    under: Sequence[str] = ()  # a command that becomes it, as setpriv does

    def on_terminal(self, transcript: Transcript) -> None:
        """Play a transcript on a terminal of its own; AssertionError with the screen if it goes otherwise."""
        answers = list(self._answers(transcript))
        code, screen = typed(self._program(transcript), answers, self.environ, only=True)
        expected = [self._on_screen(line) for line in transcript.lines]
        self._compare(transcript, code, screen.replace("|", ""), expected)

    def through_pipe(self, transcript: Transcript) -> None:
        """Play a transcript with its answers as the lines of standard input; AssertionError likewise."""
        answers = [line for line in self._answers(transcript) if line not in KEYS.values()]
        done = subprocess.run(
            self._program(transcript),
            input="".join(f"{line}\n" for line in answers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
            timeout=60,
            check=False,
        )
        expected = [self._in_pipe(line) for line in transcript.lines]
        self._compare(transcript, done.returncode, done.stdout, expected)

    def _program(self, transcript: Transcript) -> list[str]:
        name, *words = self._filled(transcript.command).split()
        return [*self.under, str(self.programs / name), *words]

    def _answers(self, transcript: Transcript) -> Iterator[str]:
        for line in transcript.lines:
            if found := _ANSWER.match(line):
                name = found["secret"]
                text = found["shown"] if name is None else self.passwords.get(name, name)
                yield KEYS.get(text, self._filled(text))

    def _on_screen(self, line: str) -> str:
        """Return what a line of a transcript is on a terminal: a secret is not there."""
        found = _ANSWER.match(line)
        if not found:
            return line
        shown = "" if found["shown"] is None or found["shown"] in KEYS else found["shown"]
        return f"{found['prompt']}{shown}".rstrip()

    def _in_pipe(self, line: str) -> str:
        """Return what a line of a transcript is where answers come from a pipe: none is there."""
        found = _ANSWER.match(line)
        return found["prompt"].rstrip() if found else line

    def _filled(self, text: str) -> str:
        return re.sub(r"<([a-z]+)>", lambda found: self.words[found[1]], text)

    def _compare(self, transcript: Transcript, code: int, screen: str, expected: Sequence[str]) -> None:
        shown = [line.rstrip() for line in _NOT_SHOWN.sub("", screen).splitlines() if line.strip()]
        pattern = "".join(map(self._pattern, expected))
        told = f"{transcript.title}\n$ {transcript.command}\n{screen}= {code}, not {transcript.code}"
        text = "".join(f"{line}\n" for line in shown)
        assert code == transcript.code, told
        assert re.fullmatch(pattern, text), f"{told}\nexpected:\n{os.linesep.join(expected)}"
        for secret in filter(None, self.passwords.values()):
            assert secret not in screen, told

    def _pattern(self, line: str) -> str:
        """Return what a line of a transcript matches with its end; `...` are any lines, or none."""
        if line == "...":
            return r"(?:.*\n)*"
        return ".*".join(re.escape(self._filled(part)) for part in line.split("<*>")) + r"\n"
