"""How fast `qekm` starts, and what it does not load for it.

Times are ratios to `import grpc` in the same Python, runs taken in turn, medians. The aims are those of the
project; on a busy machine a single run says little, so the test fails only at three times the aim.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.processes import made

HELP_AIM = 1.0
STATUS_AIM = 2.0
ROUNDS = 9
HEAVY = (
    "grpc",
    "cryptography",
    "rich",
    "pydantic",
    "sqlalchemy",
    "google",
    "asyncio",
    "alembic",
    "uvloop",
    "javaproperties",
    "jinja2",
    "reportlab",
)
MAIN = "from qekm_cli.app import main; main()"
RUN = "import sys; from qekm_cli.app import run; run(sys.argv[1:]); "


def python(code: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [("--help",), ("-h",), (), ("nonsense",)])
def test_the_root_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    done = python(RUN + f"print('LOADED', *[name for name in {HEAVY} if name in sys.modules])", *words)
    assert done.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize(
    "noun",
    ["keys", "groups", "drives", "audit", "certificates", "server", "init", "diagnose", "doctor", "report"],
)
def test_the_help_of_a_noun_loads_nothing_heavy_either(noun: str) -> None:
    done = python(
        RUN + f"print('LOADED', *[name for name in {HEAVY} if name in sys.modules])", noun, "--help"
    )
    assert done.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("words", [("help",), ("errors", "list"), ("errors", "explain", "EE31"), ("exit",)])
def test_what_needs_no_service_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    done = python(RUN + f"print('LOADED', *[name for name in {HEAVY} if name in sys.modules])", *words)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_the_help_of_the_original_s_verbs_loads_nothing_heavy() -> None:
    run = "from qekm_cli.app import run; from qekm_cli.family import VERBS; "
    told = f"import sys; print('LOADED', *[name for name in {HEAVY} if name in sys.modules])"
    done = python(f"{run}print(*{{run([verb, '--help']).code for verb in VERBS}}); {told}")
    assert done.stdout.splitlines()[-2:] == ["0", "LOADED"]


def seconds(*words: str) -> float:
    """Return how long a Python program takes that must end well."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return time.perf_counter() - begin


def ratio(name: str, aim: float, *words: str) -> float:
    """Return the time of `qekm WORDS` over that of `import grpc`, and print it; turn by turn, medians."""
    pairs = [(seconds("-c", MAIN, *words), seconds("-c", "import grpc")) for _ in range(ROUNDS)]
    ours = statistics.median(pair[0] for pair in pairs)
    grpc = statistics.median(pair[1] for pair in pairs)
    print(f"\n{name}: {ours / grpc:.2f} x import grpc, aim {aim} ({ours:.3f} s, {grpc:.3f} s)")
    return ours / grpc


def test_help_starts_as_fast_as_grpc_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        assert ratio("qekm --help", HELP_AIM, "--help") <= 3 * HELP_AIM


def test_status_over_mtls_takes_twice_the_import_of_grpc(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with made(tmp_path / "home", keys=1) as estate:
        estate.start().wait_gateway()
        words = ("server", "status", "--home", str(estate.home.path))
        with capsys.disabled():
            assert ratio("qekm server status", STATUS_AIM, *words) <= 3 * STATUS_AIM
