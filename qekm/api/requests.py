"""Requests for keys that must not be answered twice: remembered for a day under the caller's own id."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from qekm.errors import BadArgument, StoreDamaged, TooMany
from qekm.model import Setting

KEPT_US = 24 * 3_600 * 1_000_000
MOST = 10_000  # ids a day; a setting each
_PREFIX = "generate."


@dataclass(frozen=True, slots=True)
class Order:
    """One request for keys and how far it is; without a request id it is not remembered."""

    request_id: str
    total: int
    group: str
    time_us: int
    done: int = 0
    first_alias: str = ""
    last_alias: str = ""

    def grown(self, count: int, first_alias: str, last_alias: str) -> Order:
        """Return the order with one more batch made."""
        return replace(
            self,
            done=self.done + count,
            first_alias=self.first_alias or first_alias,
            last_alias=last_alias,
        )


_TYPES = {name: type(each) for name, each in asdict(Order("", 0, "", 0)).items()}


class Orders:
    """The orders of the last 24 hours by request id, each in a setting that is used again after its day."""

    def __init__(self, settings: Mapping[str, str], now_us: Callable[[], int]) -> None:
        """Take the store's settings; StoreDamaged for one of ours that cannot be read."""
        self._now_us = now_us
        self._places: dict[str, Order] = {}  # by setting
        for name, value in settings.items():
            if name.startswith(_PREFIX):
                self._places[name] = _read(name, value)
        self._names = {order.request_id: name for name, order in self._places.items()}

    def take(self, request_id: str, total: int, group: str) -> Order:
        """Return the order of an id as far as it is, or a new one.

        BadArgument for an id that is no UUID or was used for another request, TooMany after too many a day.
        """
        if not request_id:
            return Order("", total, group, self._now_us())
        own = _checked(request_id)
        order = self._places.get(self._names.get(own, ""))
        if order is None or self._is_over(order):
            self._free_place()  # before anything is made for it
            return Order(own, total, group, self._now_us())
        if (order.total, order.group) != (total, group):
            raise BadArgument(
                f"request id {own} was used for {order.total} keys of group {order.group}", field="request_id"
            )
        return order

    def put(self, order: Order) -> list[Setting]:
        """Remember an order as it stands now; what is returned is to be committed with its keys."""
        if not order.request_id:
            return []
        name = self._names.get(order.request_id) or self._free_place()
        former = self._places.get(name)
        if former is not None:
            self._names.pop(former.request_id, None)
        self._places[name], self._names[order.request_id] = order, name
        return [Setting(name, json.dumps(asdict(order)))]

    def _free_place(self) -> str:
        for name, order in self._places.items():
            if self._is_over(order):
                return name
        if len(self._places) >= MOST:
            raise TooMany(f"{MOST:,} requests for keys carried an id within a day", limit=str(MOST))
        return f"{_PREFIX}{len(self._places)}"

    def _is_over(self, order: Order) -> bool:
        return self._now_us() - order.time_us >= KEPT_US


def _checked(request_id: str) -> str:
    try:
        return str(uuid.UUID(request_id))
    except ValueError:
        raise BadArgument("request_id is not a UUID", field="request_id") from None


def _read(name: str, value: str) -> Order:
    try:
        order = Order(**json.loads(value))
        if {name: type(each) for name, each in asdict(order).items()} != _TYPES:
            raise TypeError
        return order
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"the setting {name} cannot be read") from error
