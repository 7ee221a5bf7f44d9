"""A real Prometheus of a test's own: started on a free port, asked, ended."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.waiting import wait_for

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "qekm.rules.yml"
NAME = re.compile(r"\bqekm_[a-z0-9_]+")
_PARTS = re.compile(r"_(bucket|sum|count)$")
_STRINGS = re.compile(r'"[^"]*"')

needed = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="Debian's prometheus is not here"
)


def promtool(*words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool and return what it said."""
    command = ["promtool", *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def names_in(expression: str) -> set[str]:
    """Return the metrics that an expression names, histograms by their own names."""
    return {_PARTS.sub("", name) for name in NAME.findall(_STRINGS.sub("", expression))}


def impatient(rules: str) -> str:
    """Return rules that do not wait: every `for:` is nothing. Thresholds and windows are as they are."""
    return re.sub(r"^( +for: ).+$", r"\g<1>0s", rules, flags=re.MULTILINE)


class Prometheus:
    """One process over a folder; scrapes every second."""

    def __init__(self, folder: Path, targets: Mapping[str, int]) -> None:
        """targets: ports by the names of their jobs."""
        self.port, self._log = free_port(), folder / "prometheus.log"
        (folder / "qekm.rules.yml").write_text(impatient(RULES.read_text()))
        (folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": ["qekm.rules.yml"],
                    "scrape_configs": [
                        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                        for job, port in targets.items()
                    ],
                }
            )
        )
        words = [
            "--config.file=prometheus.yml",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(["prometheus", *words], cwd=folder, stdout=log, stderr=log)
        wait_for(self._is_ready, f"Prometheus is ready: {self._log}")

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now; each has `metric` and `value`."""
        query = urllib.parse.urlencode({"query": expression})
        return list(self._get(f"/api/v1/query?{query}")["data"]["result"])

    def drawn(self, expression: str) -> list[float]:
        """Return all numbers that a panel of the last quarter of an hour draws of an expression."""
        now = time.time()
        span = {"query": expression, "start": now - 900, "end": now, "step": 1}
        found = self._get(f"/api/v1/query_range?{urllib.parse.urlencode(span)}")["data"]["result"]
        return [float(number) for each in found for _, number in each["values"]]

    def scraped(self) -> bool:
        """Tell whether every target was read, and a moment ago."""
        targets = self._get("/api/v1/targets")["data"]["activeTargets"]
        return all(each["health"] == "up" for each in targets)

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return the alerts that fire, by name, each with its labels."""
        found: dict[str, list[dict[str, str]]] = {}
        for each in self._get("/api/v1/alerts")["data"]["alerts"]:
            if each["state"] == "firing":
                found.setdefault(each["labels"]["alertname"], []).append(each["labels"])
        return found

    def unwell(self) -> list[str]:
        """Return the rules that cannot be evaluated, and why."""
        groups = self._get("/api/v1/rules")["data"]["groups"]
        return [
            f"{rule['name']}: {rule['lastError']}"
            for g in groups
            for rule in g["rules"]
            if rule.get("lastError")
        ]

    def said(self) -> str:
        """Return what it has logged."""
        return self._log.read_text()

    def close(self) -> None:
        """End it."""
        self._child.terminate()
        self._child.wait(30)

    def _is_ready(self) -> bool:
        assert self._child.poll() is None, self.said()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)
