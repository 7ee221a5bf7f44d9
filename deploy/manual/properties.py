"""The page of the two properties files, made from their tables."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.manual.roff import Page
from qekm.properties import PROPERTIES, Property, Table
from qekm.properties.client import CLIENT_PROPERTIES

NAME, CLIENT = "KeyManagerConfig.properties", "ClientKeyManagerConfig.properties"


def pages(date: str) -> Iterator[Page]:
    """Yield the pages."""
    page = Page.begin(NAME, 5, "settings of a key manager", date)
    page.head("DESCRIPTION")
    page.text(
        "The file is in the home of a key manager, /var/lib/qekm. It is that of java.util.Properties:"
        " ISO 8859-1, NAME=VALUE, # and ! begin comments.",
        "qekm config set changes it while the key manager works, qekm config refresh reads what an editor"
        " wrote, and qekm-server config set changes it while the service does not run. A variable of the"
        " environment, QEKM_PROPERTY_ and the name with every dot an underscore, wins over the file;"
        " /etc/default/qekm is the place for it.",
    )
    page.head("PROPERTIES")
    _items(page, PROPERTIES, kept=False)
    page.head("KEPT WITHOUT A MEANING")
    page.text("Properties of the product family that are accepted and listed.")
    _items(page, PROPERTIES, kept=True)
    page.see_also(("qekm-config", 1), ("qekm-server", 8), (CLIENT, 5))
    yield page
    page = Page.begin(CLIENT, 5, "where the key manager of a home without one is", date)
    page.head("DESCRIPTION")
    page.text("In the environment the variables begin with QEKM_CLIENT_PROPERTY_.")
    page.head("PROPERTIES")
    _items(page, CLIENT_PROPERTIES, kept=False)
    page.see_also(("qekm", 1), (NAME, 5))
    yield page


def _items(page: Page, table: Table, *, kept: bool) -> None:
    for item in table.values():
        if (item.origin == "kept") is kept:
            page.item(", ".join((item.name, *item.also)), " ".join(_sentences(item)))


def _sentences(item: Property) -> Iterator[str]:
    yield item.help if item.help.endswith(".") else f"{item.help}."
    if item.default:
        yield f"Default: {item.default}{' ' + item.unit if item.unit else ''}."
    if item.origin != "kept":
        yield "In force at once." if item.dynamic else "In force after a restart."
        if item.local:
            yield "Changed on the key manager's own machine only."
