"""The command `qekm-server doctor`: what is wrong with a home; nothing is written, nothing is locked."""

from __future__ import annotations

import argparse
import json
from typing import Any

from qekm.errors import EXIT_VERDICT
from qekm.home import Home


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the program's parser."""
    what = "tell what is broken here, first things first; a running service is not disturbed"
    looking = acts.add_parser("doctor", parents=[common], help=what)
    looking.add_argument("--json", action="store_true", help="one JSON document")
    looking.set_defaults(act=examine_home)


def examine_home(options: argparse.Namespace) -> int:
    """Examine a home; 5 if something is broken."""
    from qekm.clock import now_us
    from qekm.doctor.examination import examine
    from qekm.doctor.finding import first_broken
    from qekm.doctor.report import lines, summary

    findings = []
    for finding in examine(Home.find(options.home), now_us):
        findings.append(finding)
        if not options.json:
            print(*lines(finding), sep="\n", flush=True)
    if options.json:
        print(json.dumps({"findings": [each.plain() for each in findings]}))
    else:
        print(*summary(findings), sep="\n")
    return EXIT_VERDICT if first_broken(findings) else 0
