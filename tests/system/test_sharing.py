"""Keys between sites and from old key managers: processes, commands, cartridges, other programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from io import BytesIO
from pathlib import Path

import pytest

from qekm.interchange.ltfs import parse as parse_ltfs
from qekm.interchange.parcel import parse as parse_parcel
from qekm_gateway.simulator.cartridge import create_cartridge
from qekm_gateway.simulator.errand import Refused
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.sense import CheckCondition
from tests.qekm.interchange.organisation import root, rsa_key
from tests.system.exchanging import JavaStore, Place, broken, java_store, outcomes, place, two_places

CONTENT = os.urandom(300_000)
CHEAP_AIM_S, DEAR_AIM_S, KEYS = 5.0, 300.0, 1_024
pytestmark = pytest.mark.slow
needs_java = pytest.mark.skipif(not shutil.which("keytool"), reason="keytool is not installed (openjdk)")


def test_two_sites_read_each_others_cartridges_once_their_keys_were_exchanged(tmp_path: Path) -> None:
    with two_places(tmp_path) as places:
        for number, (writer, reader) in enumerate((places, places[::-1])):
            cartridge, key = writer.write(f"E0100{number}L4", CONTENT)
            with pytest.raises(Refused, match="EE31"):
                reader.read(cartridge)
            file = tmp_path / f"keys{number}.cms"
            writer.export(key.alias, "--to", reader.name, "--output", file)
            document = json.loads(reader.qekm("keys", "import", file, *reader.opening, "--json").stdout)
            assert (document["sender"], outcomes(document)) == (writer.name, ["imported"])
            assert reader.read(cartridge) == CONTENT
            assert writer.read(cartridge) == CONTENT
            again = json.loads(reader.qekm("keys", "import", file, "--json").stdout)
            assert outcomes(again) == ["present"]
            for each in places:
                assert each.holds(key.material) == []
                assert key.material not in file.read_bytes()
        for each in places:
            each.qekm("audit", "verify")
            assert each.estate.stop() == {"gateway": 0, "server": 0}
            assert each.holds() == []


def test_openssl_opens_an_export_and_finds_whose_it_is(tmp_path: Path) -> None:
    acme = root("Acme", rsa_key("acme", 3072), ca=None)
    (tmp_path / "acme.pem").write_bytes(acme.pem())
    (tmp_path / "acme.key").write_bytes(acme.key_pem())
    with place(tmp_path, "berne") as berne:
        berne.qekm(
            *("certificates", "import", tmp_path / "acme.pem", "--name", "acme"),
            *("--fingerprint", acme.fingerprint.hex()),
        )
        keys = [berne.write(f"E0100{number}L4", b"tape")[1] for number in range(3)]
        berne.export("--group", "default", "--to", "acme", "--output", tmp_path / "keys.cms")
        ours = berne.qekm("certificates", "export").stdout
    blocks = ours.split("-----END CERTIFICATE-----\n")
    (tmp_path / "authority.pem").write_text(f"{blocks[2]}-----END CERTIFICATE-----\n")
    cms = ["openssl", "cms", "-binary", "-inform", "DER"]
    opened = ["-decrypt", "-in", "keys.cms", "-recip", "acme.pem", "-inkey", "acme.key", "-out", "signed"]
    subprocess.run([*cms, *opened], cwd=tmp_path, check=True, capture_output=True)
    verified = ["-verify", "-in", "signed", "-CAfile", "authority.pem", "-out", "parcel"]
    subprocess.run([*cms, *verified], cwd=tmp_path, check=True, capture_output=True)
    parcel = parse_parcel(memoryview((tmp_path / "parcel").read_bytes()))
    assert {(key.alias, key.material.reveal()) for key in parcel.keys} == {
        (key.alias, key.material) for key in keys
    }
    forged = subprocess.run(
        [*cms, "-verify", "-in", "signed", "-CAfile", "acme.pem", "-out", "parcel"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    assert forged.returncode != 0, "the control: another authority verifies it, too"


def keytool(*words: str | Path) -> str:
    """Run keytool in English."""
    command = ["keytool", "-J-Duser.language=en", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@needs_java
def test_cartridges_of_an_old_key_manager_are_read_from_the_keystore_that_keytool_made(
    tmp_path: Path,
) -> None:
    store = java_store(tmp_path, 0, 1)  # for its password
    password = store.password.read_text().strip()
    common = ("-keystore", tmp_path / "old.jck", "-storetype", "JCEKS", "-storepass", password)
    for number in (1, 2):
        alias = f"KEY00000000000000000{number}"
        keytool("-genseckey", "-alias", alias, "-keyalg", "AES", "-keysize", "256", *common)
    keytool("-genkeypair", "-alias", "ssl", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=ekm", *common)
    with place(tmp_path, "berne") as berne:
        words = ("keys", "import", tmp_path / "old.jck", "--store-password-file", store.password)
        document = json.loads(berne.qekm(*words, *berne.opening, "--json").stdout)
        assert {row["alias"] for row in document["keys"]} == {
            "KEY000000000000000001",
            "KEY000000000000000002",
        }
        assert outcomes(document) == ["imported"] * 2
        clear = tmp_path / "list"
        berne.export("--group", "imported", "--format", "ltfs", "--in-clear", "--output", clear)
        materials = {key.dki: key.material.reveal() for key in parse_ltfs(clear.read_bytes())}
        # As the former key manager left them, whichever way it wrote the letters.
        for number, letters in enumerate((b"KEY", b"key"), 1):
            dki = letters + number.to_bytes(9)
            cartridge = create_cartridge(tmp_path / f"OLD00{number}L4", f"OLD00{number}L4")
            old = InstalledKey(f"KEY00000000000000000{number}", dki, materials[b"KEY" + dki[3:]])
            cartridge.write(BytesIO(CONTENT), old, os.urandom)
            assert berne.read(cartridge) == CONTENT
            # The control: without the key it is not read.
            with pytest.raises(CheckCondition):
                list(cartridge.read(None))
        back = tmp_path / "back.jck"
        berne.export(
            *("--group", "imported", "--format", "jceks", "--output", back),
            *("--store-password-file", store.password),
        )
        listed = keytool("-list", "-keystore", back, "-storetype", "JCEKS", "-storepass", password)
        assert "Your keystore contains 2 entries" in listed
        assert "key000000000000000001, " in listed
        assert listed.count("SecretKeyEntry") == 2


def counted(berne: Place) -> int:
    """Return how many keys of the old key manager are here."""
    document = json.loads(berne.qekm("keys", "list", "--json").stdout)
    return sum(key["alias"].startswith("KEY") for key in document["keys"])


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> JavaStore:
    """Give a keystore of the original's time: 1,024 keys of 20 iterations each."""
    return java_store(tmp_path_factory.mktemp("old"), KEYS, 20)


def test_an_import_of_1024_keys_takes_as_long_as_promised(tmp_path: Path, old_store: JavaStore) -> None:
    with place(tmp_path, "berne") as berne:
        begun = time.perf_counter()
        berne.qekm(*old_store.words, *berne.opening)
        cheap_s = time.perf_counter() - begun
        assert counted(berne) == KEYS
        sample = java_store(tmp_path, 24, 200_000, "new.jck")
        begun = time.perf_counter()
        berne.qekm(*sample.words, code=5)  # in conflict: the same names
        dear_s = (time.perf_counter() - begun) / 24 * KEYS
        print(
            f"\nimport of {KEYS:,} keys of 20 iterations: {cheap_s:.1f} s, aim {CHEAP_AIM_S:.0f} s; "
            f"of 200,000 iterations, from 24: {dear_s:.0f} s, aim {DEAR_AIM_S:.0f} s"
        )
        assert cheap_s < 3 * CHEAP_AIM_S
        assert dear_s < 3 * DEAR_AIM_S


def test_an_import_that_a_crash_cut_off_is_done_by_doing_it_again(
    tmp_path: Path, old_store: JavaStore
) -> None:
    with place(tmp_path, "berne", "import.before=exit@5") as berne:
        done = berne.qekm(*old_store.words, *berne.opening, code=10)
        assert "does not answer" in done.stderr
        assert berne.estate.server is not None
        assert berne.estate.server.wait() == -signal.SIGKILL
        berne.estate.start()
        assert counted(berne) == 4 * 64
        document = json.loads(berne.qekm(*old_store.words, *berne.opening, "--json").stdout)
        assert (outcomes(document).count("present"), outcomes(document).count("imported")) == (256, 768)
        assert counted(berne) == KEYS
        berne.qekm("audit", "verify")
        records = json.loads(berne.qekm("audit", "list", "--limit", "0", "--json").stdout)["records"]
        assert sum(record["event"] == "key.import" for record in records) == KEYS
        assert berne.holds(*list(old_store.keys.values())[:8]) == []


def crashed_export(berne: Place, *words: str | Path, build: str = "") -> list[str]:
    """Have the service die just before the key of a cartridge leaves; return whose leaving is on record.

    build: of the service from then on; the key's use was noted by the real one.
    """
    _, key = berne.write("E01001L4", CONTENT)
    berne.estate.stop()
    berne.estate.program = broken(build)
    berne.estate.start(QEKM_FAILPOINT="export.before=exit")
    with pytest.raises(AssertionError, match="does not answer"):
        berne.export(key.alias, *words)
    berne.estate.start()
    records = json.loads(berne.qekm("audit", "list", "--json").stdout)["records"]
    return [record["alias"] for record in records if record["event"] == "key.export"]


def test_a_crash_before_an_export_leaves_its_record_and_no_file(tmp_path: Path) -> None:
    with two_places(tmp_path) as (berne, oslo):
        file = tmp_path / "keys.cms"
        (alias,) = crashed_export(berne, "--to", oslo.name, "--output", file)
        assert [each for each in tmp_path.iterdir() if each.is_file() and "keys" in each.name] == []
        berne.export(alias, "--to", oslo.name, "--output", file)
        oslo.qekm("keys", "import", file, *oslo.opening)


def test_a_service_that_takes_for_durable_what_is_not_is_caught(tmp_path: Path, old_store: JavaStore) -> None:
    """The control: what the two tests of crashes look for is missing."""
    clear = ("--format", "ltfs", "--in-clear", "--output", tmp_path / "list")
    with place(tmp_path, "berne") as berne:
        assert crashed_export(berne, *clear, build="early") == []
        berne.estate.stop()
        berne.estate.start(QEKM_FAILPOINT="import.before=exit@5")
        berne.qekm(*old_store.words, *berne.opening, code=10)
        berne.estate.start()
        assert counted(berne) < 4 * 64
