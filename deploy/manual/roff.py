"""A manual page in the man(7) macros: text in, roff out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from qekm import __version__


def escaped(text: str) -> str:
    """Return text as roff shows it unchanged: no request, no escape, no character beyond ASCII."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    safe = safe.replace("|", "|\\:").replace(",", ",\\:")  # where a long choice may be broken
    safe = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in safe)
    return f"\\&{safe}" if safe.startswith(".") else safe


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name, its section and its lines so far."""

    name: str
    section: int
    lines: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, name: str, section: int, purpose: str, date: str) -> Page:
        """Return a page with its title and NAME; `purpose` is a line without its full stop."""
        page = cls(name, section)
        page.lines.append(
            f'.TH "{escaped(name)}" "{section}" "{date}" "Q\\-EKM {escaped(__version__)}" "Q\\-EKM"'
        )
        page.lines.extend([".nh", ".ad l"])  # words that are typed are neither broken nor stretched
        page.head("NAME")
        page.lines.append(f"{escaped(name)} \\- {escaped(purpose)}")
        return page

    @property
    def file(self) -> str:
        """Return the name of the file below the directory of manual pages."""
        return f"man{self.section}/{self.name}.{self.section}"

    def head(self, title: str) -> None:
        """Begin a section."""
        self.lines.append(f'.SH "{escaped(title)}"')

    def subhead(self, title: str) -> None:
        """Begin a part of a section."""
        self.lines.append(f'.SS "{escaped(title)}"')

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs, each filled."""
        for paragraph in paragraphs:
            self._paragraph(escaped(" ".join(paragraph.split())))

    def synopsis(self, words: str, rest: Iterable[str]) -> None:
        """Add how a command is written: its words, then what may follow."""
        self._paragraph(" ".join([f"\\fB{escaped(words)}\\fR", *map(escaped, rest)]))

    def item(self, title: str, text: str) -> None:
        """Add what one option, command, file or property is."""
        self.lines.extend([".TP", f"\\fB{escaped(title)}\\fR", escaped(" ".join(text.split())) or "\\&"])

    def see_also(self, *pages: tuple[str, int]) -> None:
        """Add the other pages to read."""
        self.head("SEE ALSO")
        self.lines.append(",\n".join(f"\\fB{escaped(name)}\\fR({section})" for name, section in pages))

    def _paragraph(self, line: str) -> None:
        if not self.lines[-1].startswith((".SH", ".SS")):
            self.lines.append(".PP")
        self.lines.append(line)

    def dump(self) -> str:
        """Return the page as a file holds it."""
        return "\n".join(self.lines) + "\n"
