"""Examine a home: the shells that take the facts, and the decisions over them, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from cryptography.x509 import Certificate

from qekm.configuration.remote import read_remote
from qekm.configuration.settings import Settings
from qekm.doctor import (
    certificates,
    clocks,
    disks,
    libraries,
    limits,
    openers,
    permissions,
    place,
    ports,
    processes,
    stores,
    units,
)
from qekm.doctor.finding import Finding, Seen, broken, doubtful, fine
from qekm.doctor.place import Place
from qekm.doctor.steps import HOME_STEPS, Kind
from qekm.doctor.walk import Look, timely, walk
from qekm.errors import BadCertificate, BadConfiguration, QekmError
from qekm.home import Home
from qekm.properties.client import CLIENT_PROPERTIES

_FIRST_S = 5.0  # for a home to be seen at all
Now = Callable[[], int]  # microseconds since 1970


class Examination:
    """The looks of one home; each takes its facts when it is called."""

    def __init__(self, home: Home, now_us: Now) -> None:
        """Take the home, and who tells the time."""
        self._home, self._now_us = home, now_us
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """Return what the home is, looked at once."""
        if self._place is None:
            self._place = place.survey(self._home)
        return self._place

    @property
    def parts(self) -> tuple[str, ...]:
        """Return which processes are this home's."""
        return ("server", "gateway") if Kind.SERVICE in self.place.kind else ("gateway",)

    def looks(self) -> dict[str, Look]:
        """Return every look by the name of its step."""
        return {
            "libraries": libraries.look,
            "home": lambda: place.judge(self.place),
            "disk": self._disk,
            "permissions": lambda: permissions.look(self._home, self._private()),
            "configuration": self._configuration,
            "clock": lambda: clocks.judge(clocks.survey(self._home), self._now()),
            "certificates": self._certificates,
            "keystore": lambda: openers.look(self._home, self._settings()),
            "store": lambda: stores.look(self._home, certificates.estates_of(self._trust())),
            "backups": lambda: stores.judge_backups(stores.survey(self._home, self._settings()), self._now()),
            "processes": lambda: processes.judge(processes.survey(self._home, self.parts)),
            "ports": self._ports,
            "limits": self._limits,
            "units": lambda: units.look(self.parts),
        }

    def _now(self) -> datetime:
        return certificates.as_time(self._now_us() / 1e6)

    def _settings(self) -> Settings:
        return Settings.load(self._home.config)

    def _readable(self) -> Settings | None:
        """Return the settings if they can be used: who is wrong is told in a step of its own."""
        try:
            return self._settings()
        except QekmError:
            return None

    def _private(self) -> list[Path]:
        settings = self._readable()
        return openers.private_files(self._home, settings) if settings else []

    def _trust(self) -> list[Certificate]:
        return certificates.read_pem(self._home.trust.read_bytes())

    def _configuration(self) -> Iterator[Seen]:
        home = self._home
        if Kind.CLIENT in self.place.kind:
            if home.client_config.is_file():
                yield fine(f"{home.client_config.name} names {read_remote(home.client_config).target}")
            return
        try:
            if home.client_config.is_file():  # to be copied to clients
                Settings.load(home.client_config, table=CLIENT_PROPERTIES)
            settings = self._settings()
        except BadConfiguration as error:
            correct = f"correct it; the version before the last change is {home.config.name}.1"
            yield broken(error.message, error.advice or correct)
            return
        for name in sorted(settings.unknown):
            yield doubtful(f"{home.config.name}: there is no property {name[:80]}", "qekm config list")
        yield fine(f"{home.config.name} is valid")

    def _disk(self) -> Iterator[Seen]:
        home, settings = self._home, self._readable()
        places = {"store": home.store_directory, "home": home.path, "logs": home.stdout_log.parent}
        if settings is not None:
            places["audit log"] = home.path / settings["Audit.handler.file.directory"]
            if target := settings["backup.target"]:
                places["backups"] = home.path / target
        return disks.judge(disks.survey(places), self.place.user)

    def _certificates(self) -> Iterator[Seen]:
        trust = self._trust()
        if not trust:
            restore = "put back the trust.pem of this key manager: qekm certificates trust prints it there"
            raise BadCertificate(f"{self._home.trust} holds no certificate that can be read", hint=restore)
        for name in self.place.names:
            machine = name in ("server", "gateway")
            seen = pair(self._home, name, trust, self._now())
            yield from seen if machine else map(_softened, seen)

    def _ports(self) -> Iterator[Seen]:
        found = processes.survey(self._home, self.parts)
        return ports.judge(ports.survey(self._home, self._settings(), found))

    def _limits(self) -> Iterator[Seen]:
        told = self._home.running("server")
        return limits.judge(limits.survey(told.pid if told else 0))


def pair(home: Home, name: str, trust: list[Certificate], now: datetime) -> Iterator[Seen]:
    """Yield what is wrong with a certificate of a home and its key; OSError."""
    certificate, role = home.certificate(name), name if name in ("server", "gateway") else ""
    renewal = f"renew it: qekm-server renew {name}, while the service is stopped"
    chain = certificates.read_pem(certificate.read_bytes())
    if not chain:
        told = f"{certificate} holds no certificate that can be read"
        raise BadCertificate(told, hint=f"put it back, or {renewal}")
    yield from certificates.fits(certificate, home.key(name))
    yield from certificates.judge(certificates.Pair(certificate.name, chain, trust, role, renewal), now)


def _softened(seen: Seen) -> Seen:
    """Return what is broken as a warning: a person's certificate keeps no machine from its work."""
    return doubtful(seen.told, seen.advice) if seen.verdict == "broken" else seen


def examine(home: Home, now_us: Now) -> Iterator[Finding]:
    """Yield how each step of a home ended that is there for its kind."""
    examination = Examination(home, now_us)
    seen = timely(_FIRST_S, lambda: examination.place)
    kind = Kind.SERVICE if seen is None else seen.kind  # of one that hangs, that is told by its step
    return walk((step for step in HOME_STEPS if kind in step.kinds), examination.looks())
