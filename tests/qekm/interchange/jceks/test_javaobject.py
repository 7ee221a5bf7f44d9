"""Java's objects are read as far as keys need it, and no object costs more than its bytes."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import BadFile
from qekm.interchange.jceks.cursor import Cursor
from qekm.interchange.jceks.javaobject import JavaObject, read_object
from tests.qekm.interchange.jceks.making import (
    ANNOTATED,
    END,
    EXTERNALIZABLE,
    NULL,
    STREAM,
    STRING,
    array,
    enum,
    java_class,
    java_object,
    key_rep,
    reference,
    string,
    utf,
)

OBJECT = "Ljava/lang/Object;"


def read(body: bytes) -> JavaObject:
    cursor = Cursor(STREAM + body, "the key")
    found = read_object(cursor)
    cursor.finish()
    return found


def test_an_object_is_its_fields_those_of_its_ancestors_first() -> None:
    parent = java_class("Parent", {"flag": "Z", "size": "J", "seed": "[B"})
    child = java_class(
        "Child", {"count": "I", "name": STRING, "form": "LForm;", "none": OBJECT}, parent=parent
    )
    found = read(
        java_object(
            child, bytes(1 + 8), array(b"seed"), bytes(4), string("n\u00e4me"), enum("Form", "RAW"), NULL
        )
    )
    names = ("flag", None), ("size", None), ("seed", b"seed"), ("count", None)
    assert found.fields == (*names, ("name", "n\u00e4me"), ("form", "RAW"), ("none", None))
    assert [part.name for part in found.type.lineage()] == ["Child", "Parent"]
    assert found.get("no such") is None


def test_references_lead_back_to_texts_classes_and_arrays() -> None:
    # 0 the class, 1 a text (type of the fields), 2 the object, 3 the class [B, 4 the array
    kind = b"\x72" + utf("Pair") + bytes(8) + b"\x02\0\3" + b"[" + utf("a") + string("[B")
    kind += b"[" + utf("b") + reference(1) + b"L" + utf("c") + reference(1) + END + NULL
    found = read(java_object(kind, array(b"one"), reference(4), b"\x75" + reference(3) + b"\0\0\0\3two"))
    assert [value for _, value in found.fields] == [b"one", b"one", b"two"]


def test_what_a_class_writes_of_its_own_is_passed_over() -> None:
    own = b"\x77\x03abc" + b"\x7a\0\0\0\4abcd" + string("more") + array(b"x") + NULL
    found = read(java_object(java_class("Own", {"a": "[B"}, flags=ANNOTATED), array(b"key"), own, END))
    assert found.fields == (("a", b"key"),)
    assert read(java_object(java_class("Own", {}, annotation=own))).fields == ()


def test_an_array_of_other_numbers_is_passed_over() -> None:
    found = read(
        java_object(java_class("Own", {"a": "[J", "b": "[B"}), array(bytes(16), "[J", 2), array(b"k"))
    )
    assert found.fields == (("a", None), ("b", b"k"))


def nested(levels: int) -> bytes:
    return java_object(java_class("Nest", {"in": OBJECT}), nested(levels - 1) if levels else NULL)


def descended(levels: int) -> bytes:
    return java_class("Nest", {}, parent=descended(levels - 1) if levels else NULL)


def test_some_depth_is_no_bomb() -> None:
    assert read(nested(8)).fields
    assert read(java_object(of_texts(1, java_class("A", {})), string("") * 64)).fields
    assert len([*read(java_object(descended(8))).type.lineage()]) == 9


def of_texts(classes: int, parent: bytes) -> bytes:
    for _ in range(classes):
        parent = java_class("Texts", {f"a{number}": STRING for number in range(64)}, parent=parent)
    return parent


HOLDER = java_class("Holder", {"in": OBJECT})
BOMBS = {
    "deep objects": ("nested over 16 levels", nested(17)),
    "very deep objects": ("nested over", b"".join(java_object(HOLDER) for _ in range(200_000))),
    "deep classes": ("nested over 16", java_object(descended(18))),
    "deep annotations": ("nested over", java_object(java_class("A", {}, flags=ANNOTATED)) * 50_000),
    "a class that extends itself": ("class of a form", java_object(java_class("A", {}, parent=reference(0)))),
    "an object in itself": ("object of a form", java_object(HOLDER, reference(2))),
    "an array in itself": ("needs", b"\x75" + java_class("[B", {}) + reference(1)),
    "a reference to a class": ("object of a form", java_object(HOLDER, reference(0))),
    "a reference ahead": ("refers to", java_object(HOLDER, reference(3))),
    "a reference far off": ("refers to", java_object(HOLDER, b"\x71\xff\xff\xff\xff")),
    "a reference before the first": ("refers to", java_object(HOLDER, b"\x71\0\0\0\0")),
    "an object of the class of a text": ("class of a form|refers to", java_object(reference(1))),
    "an object of no class": ("without a class", java_object(NULL)),
    "2 GiB of bytes": ("needs 2,147,483,647", java_object(HOLDER, array(b"x", count=2**31 - 1))),
    "4 GiB of numbers": ("needs 34,359,738,360", java_object(HOLDER, array(b"x", "[J", 2**32 - 1))),
    "an array of objects": (
        "array of objects",
        java_object(HOLDER, array(b"", "[Ljava.lang.Object;", 2**31)),
    ),
    "an array of arrays": ("array of objects", java_object(HOLDER, array(b"", "[[B", 2**31))),
    "an array of nothing": ("array of objects", java_object(HOLDER, array(b"", "[", 1))),
    "an array of what is none": ("array of objects", java_object(HOLDER, array(b"", "B", 1))),
    "a long text": ("object of a form", java_object(HOLDER, b"\x7c" + b"\x7f" + bytes(7))),
    "a text that claims more": ("needs 65,535", java_object(HOLDER, b"\x74\xff\xffshort")),
    "a proxy": ("class of a form", java_object(b"\x7d\0\0\0\1" + utf("A") + END + NULL)),
    "a proxy of very many": ("class of a form", java_object(b"\x7d\xff\xff\xff\xff" + utf("A"))),
    "a class object": ("object of a form", java_object(HOLDER, b"\x76" + java_class("A", {}))),
    "an exception": ("object of a form", java_object(HOLDER, b"\x7b" + java_object(java_class("A", {})))),
    "a reset": ("object of a form", java_object(HOLDER, b"\x79")),
    "block data for a field": ("object of a form", java_object(HOLDER, b"\x77\0")),
    "an end for a field": ("object of a form", java_object(HOLDER, END)),
    "65,535 fields, few there": (
        "more parts",
        java_object(b"\x72" + utf("A") + bytes(8) + b"\x02\xff\xff" + b"I" + utf("a")),
    ),
    "65 fields": (
        "more parts",
        java_object(java_class("A", {f"a{number}": "I" for number in range(65)}), bytes(65 * 4)),
    ),
    "a field of unknown type": ("unknown type", java_object(java_class("A", {"a": "X"}))),
    "a class that reads itself": (
        "only its class can read",
        java_object(java_class("A", {"a": "[B"}, flags=EXTERNALIZABLE), array(b"x")),
    ),
    "many objects": (
        "more parts",
        java_object(java_class("A", {}, flags=ANNOTATED), string("") * 100_000, END),
    ),
    "many texts": ("more parts", java_object(of_texts(2, java_class("A", {})), string("") * 128)),
    "much of its own": (
        "needs 4,294,967,295",
        java_object(java_class("A", {}, flags=ANNOTATED), b"\x7a\xff\xff\xff\xff"),
    ),
    "its own without an end": (
        "more parts",
        java_object(java_class("A", {}, flags=ANNOTATED), b"\x77\0" * 50_000),
    ),
    "a text alone": ("something else", string("AES")),
    "a null alone": ("something else", NULL),
    "nothing": ("needs 1 more", b""),
    "bytes too many": ("1 bytes too many", java_object(java_class("A", {})) + b"\0"),
    "half a character": ("Java's UTF-8", java_object(HOLDER, b"\x74\0\3\xed\xa0\x80")),
    "UTF-8 of four bytes": ("Java's UTF-8", java_object(HOLDER, b"\x74\0\4\xf0\x9f\x98\x80")),
    "no UTF-8": ("Java's UTF-8", java_object(HOLDER, b"\x74\0\2\xff\xfe")),
}


@pytest.mark.parametrize(("words", "body"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_little_time_and_memory(words: str, body: bytes) -> None:
    tracemalloc.start()
    begin = time.thread_time()
    try:
        with pytest.raises(BadFile, match=f"the key .*({words}).*at byte"):
            read(body)
        assert time.thread_time() - begin < 3
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 8 * len(body)
    finally:
        tracemalloc.stop()


def test_a_stream_begins_with_the_magic_of_streams() -> None:
    with pytest.raises(BadFile, match="no Java object"):
        read_object(Cursor(b"\xac\xed\0\4" + nested(1), "the key"))


def test_an_object_cut_short_anywhere_is_refused() -> None:
    whole = key_rep("AES", bytes(32))[len(STREAM) :]
    read(whole)
    for length in range(len(whole)):
        with pytest.raises(BadFile):
            read(whole[:length])


@settings(deadline=None)  # other tests make the machine slow
@given(st.data())
def test_whatever_is_changed_only_our_own_error_is_raised(data: st.DataObject) -> None:
    whole = bytearray(key_rep("AES", bytes(32)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        whole = whole or bytearray(1)
    try:
        found = read_object(Cursor(bytes(whole), "the key"))
    except BadFile:
        return
    assert all(isinstance(value, bytes | str | JavaObject | None) for _, value in found.fields)


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "ä", "密", "😀", "a😀\0ü", "\uffff"])
def test_java_writes_texts_in_utf_8_of_its_own(text: str) -> None:
    from qekm.interchange.jceks import cursor

    written = cursor.text(text)
    assert Cursor(written, "it").text() == text
    assert b"\0" not in written[2:]
    assert not any(byte >= 0xF0 for byte in written[2:])
