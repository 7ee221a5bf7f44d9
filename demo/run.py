"""Show the product's main job, from nothing to the last check: `make demo`, or `make demo SOURCE=dir`.

Everything happens in a temporary folder that is removed at the end, by processes that are ended. Exit code 0
only if every check held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hiding import Namespace
from library import Library, copy_away
from stage import DemoFailed, Stage, act, check, say, set_property
from trees import LEFT_OUT, count_found, digest_of, list_tree, pick_snippets, size_of, snippet_count

FIRST, SECOND, STRANGER = "001300000392", "001310000363", "001319999999"
REPOSITORY = Path(__file__).resolve().parents[1]
VOLSER = "E01001L4"
PASSWORD = ("--command-password-file", "command-password")  # made up when the demonstration begins
GATEWAY_SECONDS = 20.0


class Demonstration:
    """The acts, in order; each leaves what the next one needs."""

    def __init__(self, stage: Stage, source: Path) -> None:
        if not source.is_dir():
            raise DemoFailed(f"{source} is not a directory")
        if stage.folder.resolve().is_relative_to(source):
            raise DemoFailed(f"{source} holds the temporary folder; set TMPDIR to a folder outside of it")
        self.stage, self.source = stage, source
        self.left_out: Sequence[str] = LEFT_OUT if source == REPOSITORY else ()
        self.library = Library(stage)
        self.cartridge, self.clear = stage.folder / "E01001L4.tape", stage.folder / "clear.tape"
        self.namespace: Namespace | None = None
        self.tree: dict[str, str] = {}
        self.alias = self.stream = ""

    def run(self) -> None:
        """Play all acts."""
        self.take_stock()
        self.make_key_manager()
        self.make_library()
        self.back_up()
        self.search()
        self.read_back()
        self.try_a_wrong_key()
        self.refuse_a_stranger()
        self.verify_the_trail()

    def take_stock(self) -> None:
        """Settle how the source is kept from the reading drive; hash what it holds."""
        act(1, f"What is backed up: {self.source}")
        namespace = Namespace(self.source, self.stage.folder, Path(sys.executable).parents[1])
        if namespace.works():
            self.namespace = namespace
        else:
            say("This system allows no mount namespaces: a private copy is backed up, then removed.")
            copy = self.stage.folder / "copy"
            copy_away(self.source, copy, self.left_out)
            self.source, self.left_out = copy, ()
        self.tree = list_tree(self.source, self.left_out)
        files, size = size_of(self.source, self.tree)
        say(f"{files:,} files, {size:,} bytes" + "".join(f", without {name}" for name in self.left_out[:2]))
        say(f"SHA-256 of the tree: {digest_of(self.tree)}")

    def make_key_manager(self) -> None:
        """Initialise the key manager and start its two processes."""
        act(2, "A key manager from nothing: 1,024 AES-256 keys, and no password that anyone could know")
        (self.stage.folder / PASSWORD[1]).write_text(secrets.token_urlsafe() + "\n")
        alone = (
            "--no-password",
            "--no-shares",
            "--protect",
            "none",
        )  # a demo has one disk, and nobody to ask
        self.stage.run_visibly("qekm", "init", "--keys", "1024", *alone, *PASSWORD)
        self.start()

    def start(self) -> None:
        """Start service and gateway, two processes, on free ports; wait until drives are served."""
        home = str(self.stage.home)
        self.stage.start("server", "qekm-server", "run", "--home", home)
        self.library.server = (
            f"127.0.0.1:{self.stage.start('gateway', 'qekm-gateway', 'run', '--home', home)['tcp']}"
        )
        self.stage.run("qekm", "login", *PASSWORD)
        deadline = time.monotonic() + GATEWAY_SECONDS
        while not self.stage.succeeds("qekm", "server", "status"):
            if time.monotonic() > deadline:
                raise DemoFailed("the service does not see its gateway")
            time.sleep(0.1)

    def make_library(self) -> None:
        """Make the library, and have the key manager trust the authority that names its drives."""
        act(3, "A Scalar library with two LTO-4 drives, and a cartridge in clear, for comparison")
        self.stage.run("qekm-simulator", "init", "library")
        self.stage.run("qekm", "drives", "authorities", "add", "library/authority/ca.pem")
        self.library.write(self.clear, "CLEAR0L4", FIRST, self.source, self.left_out, "--clear")

    def back_up(self) -> None:
        """Write the source to an encrypted cartridge in the first drive."""
        act(4, f"Backup: drive {FIRST} asks for a key and writes cartridge {VOLSER}, which is then ejected")
        told = self.library.write(self.cartridge, VOLSER, FIRST, self.source, self.left_out)
        encrypted = bool(told["confirmed"]) and not told["in_clear"]
        check(encrypted, f"written under key {told['alias']}, confirmed by the drive and to the drive")
        self.stream, self.alias = told["sha256"], told["alias"]

    def search(self) -> None:
        """Look for pieces of the source in both cartridges."""
        act(5, "Is anything of the source readable on the cartridge?")
        count = snippet_count(max(self.clear.stat().st_size, self.cartridge.stat().st_size))
        # Which pieces is no secret; it must only differ from run to run.
        snippets = pick_snippets(self.source, self.tree, count, random.Random())
        if not snippets:
            raise DemoFailed("the source has no file with 32 bytes of text to look for")
        found, hits = count_found(self.clear, snippets), count_found(self.cartridge, snippets)
        # A block boundary of the cartridge may cut through a piece or two.
        check(found >= 0.95 * len(snippets), f"of {len(snippets)} pieces, {found} are in the clear cartridge")
        check(hits == 0, f"of {len(snippets)} pieces, {hits} are in the encrypted cartridge")

    def read_back(self) -> None:
        """Read the cartridge in the other drive, in a process that has no access to the source."""
        act(6, f"Restore: the cartridge is loaded in the other drive, {SECOND}")
        if self.namespace is None:
            shutil.rmtree(self.source)
            check(not self.source.exists(), "the copy that was backed up is gone before the drive reads")
        restored = self.stage.folder / "restored"
        restored.mkdir()
        told = self.library.read(self.cartridge, SECOND, restored, self.namespace)
        check(told["alias"] == self.alias, f"key {told['alias']} was found by the DKi on the cartridge")
        check(told["sha256"] == self.stream, f"SHA-256 of the stream: {self.stream[:16]}… written and read")
        before, after = digest_of(self.tree), digest_of(list_tree(restored))
        if self.namespace is not None and before != digest_of(list_tree(self.source, self.left_out)):
            raise DemoFailed(f"{self.source} changed meanwhile; name one at rest: make demo SOURCE=dir")
        check(after == before, f"SHA-256 of the tree: {before[:16]}… before, {after[:16]}… after")

    def try_a_wrong_key(self) -> None:
        """Read the cartridge with a key that the key manager made for something else."""
        act(7, "The same cartridge with another key of the same key manager")
        words = ("--cartridge", self.cartridge.name, "--ask", "create")
        said = self.library.ask("read", SECOND, *words, fails=True)
        check("07/74/03" in said, "sense 07/74/03: incorrect data encryption key")

    def refuse_a_stranger(self) -> None:
        """Close the door to unknown drives and have one knock."""
        act(8, "Which drives are known, and what becomes of another one")
        expected = ["Drive entries: 2", f"SerialNumber = {FIRST}", f"SerialNumber = {SECOND}"]
        drives = self.stage.run("qekm", "listdrives").splitlines()
        check(drives == expected, "the list as the original prints it: both drives entered by asking")
        say("drive.acceptUnknownDrives=false, and a restart:")
        set_property(self.stage.home / "KeyManagerConfig.properties", "drive.acceptUnknownDrives", "false")
        self.stage.stop_in_order()
        self.start()
        self.stage.run("qekm-simulator", "add-drive", "--library", "library", STRANGER)
        said = self.library.ask("request", STRANGER, fails=True)
        check("EF01" in said and "07/74/64" in said, f"drive {STRANGER} is refused: EF01, sense 07/74/64")
        words = ("--cartridge", self.cartridge.name, "--output", os.devnull)
        told = json.loads(self.library.ask("read", FIRST, *words))
        check(told["sha256"] == self.stream, f"drive {FIRST} reads its cartridge as before")
        drives = self.stage.run("qekm", "listdrives").splitlines()
        check(drives == expected, "the list has not changed")

    def verify_the_trail(self) -> None:
        """Verify the audit trail, then a copy of it, then the copy with one byte changed."""
        act(9, "The audit trail")
        self.stage.run("qekm", "audit", "list")
        said = self.stage.run("qekm", "audit", "verify")
        check("intact" in said, "every link and signature of the trail holds")
        self.stage.stop_in_order()
        copy = self.stage.folder / "copied-home"
        shutil.copytree(self.stage.home, copy)
        self.stage.run("qekm-server", "audit-verify", "--home", str(copy))
        check(True, "they hold in a copy of the store")
        say(f"in the copy, {flip_one_byte(copy / 'store' / 'qekm.db')}")
        self.stage.run("qekm-server", "audit-verify", "--home", str(copy), fails=True)
        check(True, "with one byte changed the trail does not verify any more")


def flip_one_byte(database: Path) -> str:
    """Change the lowest bit of one byte of one audit record; return what was changed."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        query = "SELECT sequence, volser FROM audit WHERE volser != '' ORDER BY sequence LIMIT 1"
        sequence, volser = connection.execute(query).fetchone()
        flipped = chr(ord(volser[0]) ^ 1) + volser[1:]
        connection.execute("UPDATE audit SET volser = ? WHERE sequence = ?", (flipped, sequence))
    return f"one byte of record {sequence} is changed: volser {volser} becomes {flipped}"


def main() -> int:
    """Run the demonstration; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=REPOSITORY, help="directory to back up")
    options = parser.parse_args()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stage(Path(sys.executable).parent) as stage:
            Demonstration(stage, options.source.resolve(strict=True)).run()
    except (DemoFailed, OSError, subprocess.SubprocessError) as problem:
        print(f"\nFAILED: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was started is ended, what was written is removed", file=sys.stderr)
        return 130
    print(f"\nEvery check held, in {time.monotonic() - begun:.0f} s. Nothing is left running, and no file.")
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
