"""Read Java's serialized objects, as far as keys are made of them.

Java Object Serialization Specification, section 6. No class is ever loaded and nothing runs: an object is
its fields. What no key has (loops, proxies, arrays of objects, own formats) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NoReturn, TypeAlias

from qekm.interchange.jceks.cursor import Cursor

STREAM = bytes.fromhex("aced0005")  # magic and version of every stream
_FIRST_HANDLE = 0x7E0000
_MOST_PARTS, _MOST_FIELDS, _MOST_LEVELS = 256, 64, 16  # a key of the JDK's has 15, 4, 3
_SIZES = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}


class Code(IntEnum):
    """What the next part of a stream is."""

    NULL = 0x70
    REFERENCE = 0x71
    CLASS = 0x72
    OBJECT = 0x73
    STRING = 0x74
    ARRAY = 0x75
    BLOCK = 0x77
    END = 0x78
    LONG_BLOCK = 0x7A
    ENUM = 0x7E


class Flag(IntFlag):
    """How objects of a class are written."""

    ANNOTATED = 1  # something of its own follows the fields
    SERIALIZABLE = 2
    EXTERNALIZABLE = 4


@dataclass(frozen=True, slots=True)
class JavaClass:
    """A class as its objects describe it: fields are (type, name)."""

    name: str
    flags: int
    fields: tuple[tuple[str, str], ...]
    parent: JavaClass | None

    def lineage(self) -> Iterator[JavaClass]:
        """Go through the class and what it extends, itself first."""
        found: JavaClass | None = self
        while found:
            yield found
            found = found.parent


@dataclass(frozen=True, slots=True, repr=False)
class JavaObject:
    """An object: its class, and its fields as (name, value), those of the ancestors first."""

    type: JavaClass
    fields: tuple[tuple[str, Value], ...]

    def get(self, name: str) -> Value:
        """Return the value of a field, None if there is none."""
        return next((value for known, value in self.fields if known == name), None)


# An array of bytes is bytes, a constant of an enum its name; other primitive values are not kept.
Value: TypeAlias = "bytes | str | JavaObject | None"


def read_object(cursor: Cursor) -> JavaObject:
    """Take one stream that holds one object; BadFile."""
    if cursor.take(len(STREAM)) != STREAM:
        cursor.refuse("has no Java object where one must be")
    value = _Reader(cursor).value(0)
    if not isinstance(value, JavaObject):
        cursor.refuse("has something else where a Java object must be")
    return value


class _Unfinished:
    """Stands in the table of handles for what is still being read, so that nothing can hold itself."""


class _Reader:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._handles: list[Value | JavaClass | _Unfinished] = []
        self._read = {Code.OBJECT: self._object, Code.ARRAY: self._array, Code.ENUM: self._enum}

    def value(self, level: int) -> Value:
        """Take what a field may hold."""
        return self._value(self._cursor.number(1), level)

    def _value(self, code: int, level: int) -> Value:
        self._check_level(level)
        if code == Code.NULL:
            return None
        if code == Code.STRING:
            return self._string()
        if code in self._read:
            return self._read[Code(code)](level + 1)
        known = self._known() if code == Code.REFERENCE else _Unfinished()
        if isinstance(known, JavaClass | _Unfinished):
            self._cursor.refuse("has a Java object of a form that keys do not have")
        return known

    def _check_level(self, level: int) -> None:
        if level > _MOST_LEVELS:
            self._cursor.refuse(f"is nested over {_MOST_LEVELS} levels deep")

    def _hold(self) -> int:
        if len(self._handles) == _MOST_PARTS:
            self._refuse_many()
        self._handles.append(_Unfinished())
        return len(self._handles) - 1

    def _known(self) -> Value | JavaClass | _Unfinished:
        handle = self._cursor.number(4) - _FIRST_HANDLE
        if not 0 <= handle < len(self._handles):
            self._cursor.refuse("refers to a Java object that it does not have")
        return self._handles[handle]

    def _string(self) -> str:
        handle = self._hold()
        self._handles[handle] = text = self._cursor.text()
        return text

    def _class(self, level: int) -> JavaClass:
        found = self._class_or_none(level)
        if found is None:
            self._cursor.refuse("has a Java object without a class")
        return found

    def _class_or_none(self, level: int) -> JavaClass | None:
        code = self._cursor.number(1)
        if code == Code.NULL:
            return None
        if code == Code.REFERENCE and isinstance(known := self._known(), JavaClass):
            return known
        self._check_level(level)
        if code != Code.CLASS:
            self._cursor.refuse("has a Java class of a form that keys do not have")
        name = self._cursor.text()
        self._cursor.take(8)  # serialVersionUID
        handle = self._hold()
        flags = self._cursor.number(1)
        if (count := self._cursor.number(2)) > _MOST_FIELDS:
            self._refuse_many()
        fields = tuple(self._field() for _ in range(count))
        self._skip_annotation(level)
        parent = self._class_or_none(level + 1)
        self._handles[handle] = found = JavaClass(name, flags, fields, parent)
        return found

    def _field(self) -> tuple[str, str]:
        kind = chr(self._cursor.number(1))
        name = self._cursor.text()
        if kind in "[L":
            self.value(_MOST_LEVELS)  # the name of its type, which its value tells better
        elif kind not in _SIZES:
            self._cursor.refuse("has a field of an unknown type")
        return kind, name

    def _object(self, level: int) -> JavaObject:
        found = self._class(level)
        handle = self._hold()
        fields: list[tuple[str, Value]] = []
        for part in reversed([*found.lineage()]):
            if part.flags & Flag.EXTERNALIZABLE:
                self._cursor.refuse(f"has an object that only its class can read: {part.name[:64]!r}")
            if part.flags & Flag.SERIALIZABLE:
                fields += [(name, self._content(kind, level)) for kind, name in part.fields]
                if part.flags & Flag.ANNOTATED:
                    self._skip_annotation(level)
        self._handles[handle] = made = JavaObject(found, tuple(fields))
        return made

    def _content(self, kind: str, level: int) -> Value:
        if kind in _SIZES:
            self._cursor.take(_SIZES[kind])
            return None
        return self.value(level)

    def _array(self, level: int) -> bytes | None:
        name = self._class(level).name
        handle = self._hold()
        if len(name) != 2 or name[1] not in _SIZES:
            self._cursor.refuse("has an array of objects, which keys do not have")
        content = self._cursor.take(self._cursor.number(4) * _SIZES[name[1]])
        self._handles[handle] = value = content if name == "[B" else None
        return value

    def _enum(self, level: int) -> Value:
        self._class(level)
        handle = self._hold()
        self._handles[handle] = constant = self.value(level)
        return constant

    def _skip_annotation(self, level: int) -> None:
        for _ in range(_MOST_PARTS):
            code = self._cursor.number(1)
            if code == Code.END:
                return
            if code in (Code.BLOCK, Code.LONG_BLOCK):
                self._cursor.take(self._cursor.number(1 if code == Code.BLOCK else 4))
            else:
                self._value(code, level)
        self._refuse_many()

    def _refuse_many(self) -> NoReturn:
        self._cursor.refuse("has more parts than any key has")
