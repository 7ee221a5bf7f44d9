"""What Prometheus is told of a service: functions from owners to families; nothing here changes anything."""

from qekm.figures.sources import Sources

__all__ = ["Sources"]
