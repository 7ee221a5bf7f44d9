"""No key, password, share or PIN is anywhere but where somebody asked for it to be.

A whole key manager is used as its people use it, at debug level, with everything that goes wrong; then
everything that is left is searched: files, logs, what every command said, and every process's arguments.
"""

from __future__ import annotations

import base64
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.home import Home
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import root_of, unlock
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.errand import Errand, Refused
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.fakes.original import install, ours
from tests.faults.canary import Canaries, Watch, forms, parts_of
from tests.faults.report import Report
from tests.system.command import QEKM
from tests.system.exchanging import java_store
from tests.system.processes import FREE_PORTS, Estate, Process, environment
from tests.waiting import wait_for

RIG = "canaries"
KEYS = 12
SAME, OTHER = "the same user", "another user"
# What must have been written to each of the logs, or else looking through them would prove nothing.
LOGS = {
    "audit/kms_audit.log": "action=key.serve",
    "debug_server": "84 SET_KEY",
    "native_stdout.log": "gateway version",
    "native_stderr.log": "",
}
# As whom somebody tries to dump the service; that user first gives up what only root may.
UNDER: Mapping[str, Sequence[str]] = (
    {
        SAME: ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
        OTHER: ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    }
    if os.geteuid() == 0
    else {SAME: ()}
)
CRASH = """
import os, signal, sys
planted = bytes.fromhex(sys.stdin.readline())
print(flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGABRT)
"""


@dataclass
class People:
    """Those who use a key manager by commands, and what every command said."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def home(self) -> Home:
        """Return the key manager's home."""
        return Home(self.folder / "home")

    def qekm(self, *words: str | Path, good: bool = True, home: Path | None = None) -> None:
        """Run a command, which must go well or must not, and keep what it says."""
        said = self.folder / "said" / f"{next(self.numbers):03d}-{words[0]}-{words[1]}"
        with said.open("wb") as output:
            done = subprocess.run(
                [*QEKM, *map(str, words)],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self.folder / "cwd",
                env=self.environment(home),
                timeout=120,
                check=False,
            )
        assert (done.returncode == 0) == good, f"{words}: {done.returncode}\n{said.read_text()}"

    def environment(self, home: Path | None = None) -> dict[str, str]:
        """Return an environment whose temporary files and crumbs are found."""
        places = {"HOME": str(self.folder / "cwd"), "TMPDIR": str(self.folder / "tmp")}
        chatty = {"GRPC_VERBOSITY": "debug", "QEKM_TRACEBACK": "1"}
        return environment(QEKM_HOME=str(home or self.home.path), **places, **chatty)

    def file(self, name: str, content: str) -> Path:
        """Write a file that a person keeps, as a password is kept."""
        path = self.folder / "kept" / name
        path.write_text(content + "\n")
        path.chmod(0o600)
        return path


def password(length: int = 18) -> str:
    """Return one that nobody has."""
    return secrets.token_urlsafe(length)


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """Have an empty place, and processes that may leave a core file where they are, if they can.

    None is forked: what is searched are also the arguments and environments that a real start has.
    """
    monkeypatch.setattr(Process, "forked", False)
    for name in ("said", "cwd", "tmp", "kept", "kept/shares", "backups"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with cores_allowed():
        yield People(tmp_path)


@contextmanager
def cores_allowed() -> Iterator[None]:
    """Let the processes that are started in the block leave core files of any size, as far as may be."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    most = resource.RLIM_INFINITY if os.geteuid() == 0 else before[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


@contextmanager
def at_debug_level(people: People) -> Iterator[Estate]:
    """Run service and gateway, as chatty as they can be."""
    estate = Estate(people.home.path)
    try:
        chatty = ("--log-level", "debug")
        estate.server = Process(
            estate.home, "server", *chatty, environ=people.environment(), under=UNDER[SAME]
        )
        estate.server.wait_ready()
        estate.gateway = Process(estate.home, "gateway", environ=people.environment())
        estate.gateway.wait_ready()
        estate.wait_gateway()
        yield estate
    finally:
        estate.close()


def use(people: People, estate: Estate, known: dict[str, bytes]) -> None:
    """Have drives write and read, and one be refused."""
    authority = make_authority(now_us())
    with estate.client() as client:
        der = authority.certificate.public_bytes(Encoding.DER)
        client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
    anchors = load_anchors([], [people.home.trust])
    for serial in ("001300000392", "001310000363"):
        drive = make_drive(authority, serial, now_us())
        library = Library(
            "LIB1", [drive], [Server("127.0.0.1", estate.ports["tcp"])], anchors, os.urandom, now_us
        )
        for number in range(2):
            errand = Errand(Ask.CREATE, f"C{serial[-3:]}{number:02d}L4", os.urandom(16))
            outcome = library.request(serial, errand)
            assert outcome.key is not None
            known[f"key {outcome.key.alias}"] = outcome.key.material
            reading = Errand(Ask.ACQUIRE, errand.volser, os.urandom(16), dki=outcome.key.dki)
            assert library.request(serial, reading).key == outcome.key
        with pytest.raises(Refused):
            library.request(serial, Errand(Ask.ACQUIRE, "C00000L4", os.urandom(16), dki=b"KEY" + bytes(9)))


def administer(people: People, known: dict[str, bytes]) -> None:
    """Do all that takes a password, shares, a PIN or keys, rightly and wrongly."""
    kept, qekm = people.folder / "kept", people.qekm
    names = "second password", "wrong password", "PIN", "Java password", "command password"
    words = {name: password() for name in names}
    files = {name: people.file(name.replace(" ", "-"), text) for name, text in words.items()}
    known |= {name: text.encode() for name, text in words.items()}
    opened = [word for share in shares_of(people)[:2] for word in ("--shares-file", str(share))]
    right, wrong = ("--password-file", kept / "password"), ("--password-file", files["wrong password"])
    qekm("keys", "generate", "8", *right)
    qekm("keystore", "unlock", *wrong, good=False)
    qekm("keystore", "unlock", "--pin-file", files["PIN"], good=False)
    qekm("keystore", "slots", "test", *opened)
    qekm("keystore", "slots", "test", *opened[:2], good=False)
    qekm(
        "keystore", "slots", "add", "password", "--name", "third", "--new-password-file", files["PIN"], *right
    )
    qekm("keystore", "passwd", "--new-password-file", files["second password"], *opened)
    right = ("--password-file", files["second password"])
    qekm("keystore", "rotate", *right)
    qekm("backup", "create")
    qekm("backup", "verify")
    qekm("backup", "drill", *opened)
    qekm("backup", "drill", *wrong, good=False)
    exchange(people, known, right, files["Java password"])
    qekm("certificates", "issue", "operator", "olga", "--out", kept)
    qekm("accounts", "passwd", "--new-password-file", files["command password"])
    log_in(people, files["wrong password"], files["command password"])
    for noun, verb in (("keys", "list"), ("keystore", "status"), ("audit", "list"), ("drives", "list")):
        qekm(noun, verb)


def log_in(people: People, wrong: Path, right: Path) -> None:
    """Prove the command password, wrongly and rightly, for a command and for a while."""
    for given in ((), ("--command-password-file", wrong)):
        people.qekm("keys", "list", *given, good=False)
    people.qekm("keys", "list", "--command-password-file", right)
    people.qekm("login", "--command-password-file", right)


def exchange(people: People, known: dict[str, bytes], right: tuple[str, Path], java: Path) -> None:
    """Give keys away in every kind of file, and take some in."""
    kept, qekm = people.folder / "kept", people.qekm
    asked = ("keys", "export", "--group", "default", *right)
    qekm(*asked, "--format", "jceks", "--store-password-file", java, "--output", kept / "keys.jck")
    qekm(*asked, "--format", "ltfs", "--in-clear", "--output", kept / "clear.ltfs")
    qekm(*asked, "--format", "cms", "--to", "nobody", "--output", kept / "none.cms", good=False)
    store = java_store(kept, 3, 20, "old.jck")
    known |= {f"key {alias}": material for alias, material in store.keys.items()}
    known["old Java password"] = store.password.read_text().strip().encode()
    qekm(*store.words, *right)
    damaged = kept / "damaged.jck"
    damaged.write_bytes(store.file.read_bytes()[:-40])
    qekm("keys", "import", damaged, "--store-password-file", store.password, *right, good=False)
    qekm("keys", "import", store.file, "--store-password-file", java, *right, good=False)
    qekm("keys", "import", kept / "clear.ltfs", *right)


def inherit(people: People, known: dict[str, bytes]) -> None:
    """Take an installation of the original over, rightly and wrongly."""
    old = install(people.folder / "kept", ours(3), other_password=True)
    known |= {f"old key {name}": material for name, material in old.keys.items()}
    known |= {"old keystore's password": old.password.encode(), "its keys'": old.key_password.encode()}
    alone = ("--no-password", "--no-command-password", "--no-shares", "--protect", "none", "--keys", "4")
    new = people.folder / "inherited"
    people.qekm("init", *old.words[:4], *alone, home=new, good=False)
    swapped = ("--keystore-password-file", str(old.passwords / "key"))
    people.qekm("init", *old.words[:2], *swapped, *alone, home=new, good=False)
    people.qekm("init", *old.words, *alone, home=new)


def shares_of(people: People) -> list[Path]:
    """Return the files of the recovery shares."""
    return sorted((people.folder / "kept" / "shares").iterdir())


def attack(people: People, server: int) -> list[str]:
    """Try to have the service's memory written to a file, then have it crash; return what worked."""
    worked = []
    for number, who in enumerate(UNDER):
        place = people.folder / "cwd" / f"dump{number}"
        place.mkdir()
        place.chmod(0o777)
        said = dump(server, place, who)
        (people.folder / "said" / f"gcore-{number}").write_bytes(said)
        worked += [who for _ in place.glob("core*")]
    os.kill(server, signal.SIGABRT)
    return worked


def dump(pid: int, place: Path, who: str) -> bytes:
    """Have a process's memory written to a file, if that can be; return what was said about it."""
    command = [*UNDER[who], "gcore", "-o", str(place / "core"), str(pid)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    return done.stdout + done.stderr


def restore(people: People) -> None:
    """Restore the newest backup with shares, as after a disaster."""
    newest = max((people.folder / "backups").glob("*.qbk"), key=os.path.getmtime)
    opened = [word for share in shares_of(people)[:2] for word in ("--shares-file", str(share))]
    new = people.folder / "restored"
    people.qekm("backup", "restore", newest, *opened, home=new)
    people.qekm("backup", "restore", people.folder / "kept" / "old.jck", *opened, home=new, good=False)


def inner_secrets(home: Home) -> dict[str, bytes]:
    """Return what a store keeps sealed: every key, the root key, the service's own private keys."""
    sealer = KeyFileSealer(home.root_key)
    with closing(Store.open(home.store, unlock(sealer), anchor=home.anchor)) as store:
        found = store.load()
        told = {f"key {key.alias}": store.ring.open_key(key).reveal() for key in found.keys if key.sealed}
        vaults = {f"vault {name}": vault for name, vault in found.vaults.items() if vault.sealed}
        told |= {name: store.ring.open_vault(vault).reveal() for name, vault in vaults.items()}
        told["root key"] = root_of(store.locked().slots, sealer).reveal()
    return told | {"key file": home.root_key.read_bytes()}


def homes_of(people: People) -> list[Home]:
    """Return the homes of a run: the one that is used, restored, and with what the original had."""
    return [people.home, *(Home(people.folder / name) for name in ("restored", "inherited"))]


def everything_known(people: People, known: dict[str, bytes]) -> Canaries:
    """Return all secrets of a run."""
    for home in homes_of(people):
        known |= {f"{name} in {home.path.name}": secret for name, secret in inner_secrets(home).items()}
    for share in shares_of(people):
        known |= {f"{share.name} {number}": part for number, part in enumerate(parts_of(share.read_text()))}
    return Canaries(known)


def legitimate(people: People) -> list[Path]:
    """Return where secrets belong: key files, what people keep, files of keys that they asked for."""
    return [*(home.root_key for home in homes_of(people)), *(people.folder / "kept").rglob("*")]


def log_of(people: People, name: str) -> str:
    """Return one of the key manager's own logs, which are searched with everything else."""
    return (people.home.path / "keymanager" / name).read_text()


@pytest.mark.slow
def test_nothing_secret_is_left_anywhere(people: People, report: Report) -> None:
    begun, known, kept = time.monotonic(), dict[str, bytes](), people.folder / "kept"
    known["first password"] = password().encode()
    people.file("password", known["first password"].decode())
    chosen = [f"{name}=0" for name in FREE_PORTS if "port" in name] + ["debug=all", "log.format=json"]
    properties = [word for each in chosen for word in ("--property", each)]
    shares = ("--shares", "2/3", "--shares-dir", kept / "shares", "--two-person", "off")
    target = ("--backup-to", people.folder / "backups", "--same-disk")
    with Watch() as watch:
        people.qekm(
            *("init", "--keys", str(KEYS), "--password-file", kept / "password", "--no-command-password"),
            *(*shares, *target, *properties),
        )
        with at_debug_level(people) as estate:
            people.qekm("backup", "create")
            use(people, estate, known)
            administer(people, known)
            assert estate.server is not None
            worked = attack(people, estate.server.pid)
            assert estate.server.wait() == -signal.SIGABRT
        restore(people)
        inherit(people, known)
    canaries = everything_known(people, known)
    hits = [*canaries.search_files(people.folder, legitimate(people)), *watch.hits(canaries)]
    files = sum(path.is_file() for path in people.folder.rglob("*"))
    assert [name for name, word in LOGS.items() if word not in log_of(people, name)] == []
    what = f"secrets in {files} files and {len(watch.seen)} command lines and environments"
    seconds = time.monotonic() - begun
    print(f"{len(canaries)} {what}, in {seconds:.0f} s; dumps: {worked or 'none'}; {hits or 'no hit'}")
    report.tried(RIG, what, len(canaries), lost=len(hits) + len(worked))
    assert not [*people.folder.rglob("core*")], "the service left a core file"
    assert worked == []
    assert hits == []


@pytest.mark.parametrize("place", ["log", "dump", "core file", "argv", "environment"])
def test_a_secret_that_is_planted_is_found(people: People, place: str, report: Report) -> None:
    secret = os.urandom(32)
    canaries, written = Canaries({"planted": secret}), secret.hex()
    with Watch() as watch:
        if place == "log":
            (people.folder / "native_stderr.log").write_text(
                f"2026-01-31 info a message {written} and more\n"
            )
        elif place == "environment":
            with lasting(["sleep", "600"], os.environ | {"PLANTED": written}):
                wait_for(lambda: watch.hits(canaries))
        elif place == "argv":
            with lasting([sys.executable, "-c", "import time; time.sleep(600)", written], os.environ):
                wait_for(lambda: watch.hits(canaries))
        else:
            plant(people, place, written)
    hits = [*canaries.search_files(people.folder), *watch.hits(canaries)]
    print(f"planted in {place}: {hits}")
    report.control(RIG, f"planted in {place}", caught=bool(hits))
    assert hits


@contextmanager
def lasting(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Have a process that goes on for as long as the block."""
    with subprocess.Popen(command, env=environ) as process:
        try:
            yield
        finally:
            process.kill()


def plant(people: People, place: str, written: str) -> None:
    """Have a process that is not hardened know a secret, and be dumped or crash."""
    if place == "dump" and shutil.which("gcore") is None:
        pytest.skip("gcore is not installed")
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if place == "core file" and (
        pattern.startswith(("|", "/")) or resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    ):
        pytest.skip(f"a process leaves no core file in its directory here ({pattern})")
    with subprocess.Popen(
        [*UNDER[SAME], sys.executable, "-c", CRASH], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{written}\n".encode())
        child.stdin.flush()
        child.stdout.readline()
        said = dump(child.pid, people.folder, SAME) if place == "dump" else b""
        child.stdin.close()
    if place == "dump" and not [*people.folder.glob("core*")]:
        pytest.skip(f"gcore cannot dump a process here: {said.decode(errors='replace')[-200:]}")


@pytest.mark.parametrize("around", [b"", b"a", b"ab", b"abc"])
def test_every_form_of_a_secret_is_found_whatever_stands_around_it(around: bytes) -> None:
    secret = os.urandom(32)
    canaries = Canaries({"planted": secret})
    assert {form for form, _ in forms(secret)} >= {"as it is", "hex", "HEX", "base64 at 0", "base64 at 2"}
    whole = around + secret + b"xyz"
    for content in (
        whole,
        whole.hex().encode(),
        whole.hex().upper().encode(),
        base64.b64encode(whole),
        base64.urlsafe_b64encode(whole),
    ):
        assert [*canaries.search(content, "here")], content
    assert not [*canaries.search(os.urandom(100_000), "noise")]
