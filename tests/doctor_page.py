"""docs/doctor.md, made from the doctor's table of steps; `python -m tests.doctor_page` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qekm.doctor.certificates import DAYS
from qekm.doctor.steps import HOME_STEPS, LINK_STEPS, STEPS, Kind, Step
from tests.pages import ROOT

PAGE = ROOT / "docs" / "doctor.md"
TITLES = {step.name: step.title for step in STEPS}
KINDS = {Kind.SERVICE: "service", Kind.GATEWAY: "gateway", Kind.CLIENT: "client"}
HEAD = """\
# The doctor

`qekm doctor` walks from the disk of this machine to the service, and names the first thing that is broken
and what to do about it. It needs no running service and no password, writes nothing, takes no lock, and does
not disturb what runs. Every step has a deadline: a disk or a network that does not answer is named like
anything else that is broken.

```console
$ qekm doctor
ok       libraries        17 libraries, SQLite 3.40.1, Python 3.11.2
ok       home             /var/lib/qekm is that of a key manager
ok       disks            /var/lib/qekm/store (store, home, logs) has 74,006 MiB left
BROKEN   permissions      others may read /var/lib/qekm/pki/server.key (mode 0644)
                          -> chmod 600 /var/lib/qekm/pki/server.key
ok       settings         KeyManagerConfig.properties is valid
...
broken first: permissions: others may read /var/lib/qekm/pki/server.key (mode 0644)
what to do:   chmod 600 /var/lib/qekm/pki/server.key
```

* It ends with 0 if nothing is broken, with 5 if something is ([exit codes](exit-codes.md)). A warning is
  something that will be a trouble, or could be; it does not change how it ends.
* Run it as the user to whom the home belongs. On the machine of a gateway, and in the home of a person who
  administers from elsewhere, it looks at what is there and at the way to the service.
* `qekm doctor --target HOST:PORT` looks at the way to another service.
* `qekm doctor --json` prints one document: `broken` is the first thing that is (or null), `findings` are
  all steps, each with `step`, `title`, `verdict` (`ok`, `warning`, `broken`, `not looked at`), `seen` and
  `advice`.
* `qekm-server doctor` does the home's steps alone.
* Who has a command password is asked for none. What only the service can tell (the last steps) is then not
  looked at, unless a session is open: `qekm login`.

## Steps

A step is not looked at if one that it needs is broken, whose name it then says.
"""
BUNDLE = """\
## A bundle for whoever helps

```console
$ qekm doctor bundle --output bundle.tar.gz --mask-names
bundle.tar.gz: 12 files, 4,916 bytes; look at its README.txt before you give it away
```

It works while the service is down, too. The file is made whole or not at all, of mode 0600; one that is
there is not replaced. In it are:

| file | what |
|---|---|
| README.txt | what is in it |
| doctor.json | what the doctor found |
| versions.json | of the programs, Python, the libraries, the system |
| status.json | what the service says of itself, of groups and of other servers |
| audit.json | the last records of the audit trail: `--records N`, 500 |
| configuration/ | both files of properties, and variables of the environment |
| files.txt | names, sizes, owners and modes of the home's files |
| logs/ | the last lines of each log: `--lines N`, 2,000; of a packaged installation `journal.log`, too |

Never in it: keys, passwords, PINs, recovery shares, sessions, private keys, the store, certificates, backups.

* Of properties, passwords, addresses that let in by themselves (webhooks) and the words of `backup.command`
  are masked, and so is every property that is not known, with its name; a path of a file is shown. Of a
  secret's file (`keystore.keyFile` and the like) it is if it has a `/` or the file is there. Comments are
  left out.
* In logs, whatever follows the word password, PIN, token or the like is masked to the end of its line, or of
  its quotes, and so is what looks like a key: a number stands for it, the same one wherever it is the same.
* A file that settings call a log is left out if it is a secret's, by whatever name, or no text.
* **What cannot be promised**: masking knows patterns. A secret that stands in a log or in a description by
  itself, with no word before it, shorter than a key and like any other word, cannot be told from one; neither
  can one in a language or a program's notation that is not known here, nor one in the name of a file. Look
  first.
* Under the systemd units the processes' own log is the journal. If this user may not read it, the command and
  README.txt say so, with the line that an administrator runs; nobody masks what that prints: look first.
* With `--mask-names` serials, volsers, aliases, names of people and groups, hosts and addresses have
  pseudonyms, the same in every file. Without it they are in it. Names that are spoken of only in free text
  may be missed, above all while the service is down and cannot tell its groups and servers: look first.

This page is made from `qekm/doctor/steps.py`; a test compares them.
"""


def rows(steps: Iterable[Step]) -> Iterator[str]:
    """Yield a table of steps."""
    yield "| step | looks at | for | needs |\n|---|---|---|---|\n"
    for step in steps:
        kinds = ", ".join(word for kind, word in KINDS.items() if kind in step.kinds)
        needs = ", ".join(TITLES[name] for name in step.needs) or "none"
        yield f"| {step.title} (`{step.name}`) | {step.looks} | {kinds} | {needs} |\n"


def page() -> str:
    """Return the page."""
    days = ", ".join(str(each) for each in sorted(DAYS, reverse=True))
    home = f"\nOf the home:\n\n{''.join(rows(HOME_STEPS))}"
    link = f"\nOn the way to the service:\n\n{''.join(rows(LINK_STEPS))}"
    told = f"\nA certificate that ends within {days} days is a warning; one that has ended is broken.\n\n"
    return HEAD + home + link + told + BUNDLE


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
