"""Properties of the logs: the audit log, the debug log, and what is told to other systems."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import choice, file_name, flag, plain_text, some_of, syslog, text_or_none, whole

DEBUG_CLASSES = (
    *("audit", "server", "drivetable", "config", "admin", "transport", "logic", "keystore", "console"),
)
EVENT_TYPES = (
    *("authentication", "data_synchronization", "runtime", "audit_management", "authorization_terminate"),
    *("configuration_management", "resource_management"),
)

LOGS = (
    Property(
        "Audit.event.types",
        some_of(*EVENT_TYPES),
        "all",
        "original",
        "What is written to the audit log: all, none, or classes; the store's trail always has everything.",
        dynamic=True,
    ),
    Property(
        "Audit.event.outcome",
        some_of("success", "failure"),
        "success,failure",
        "original",
        "Of these outcomes.",
        dynamic=True,
    ),
    Property(
        "Audit.handler.file.directory",
        plain_text,
        "keymanager/audit",
        "original",
        "Directory of the audit log; relative to the home directory.",
        local=True,
    ),
    Property(
        "Audit.handler.file.name",
        file_name,
        "kms_audit.log",
        "original",
        "Name of the audit log in that directory.",
        local=True,
    ),
    Property(
        "Audit.handler.file.size",
        whole(1, 10_485_760),
        "10000",
        "original",
        "Size of the audit log, from which on the oldest records in it go.",
        "KB",
    ),
    Property(
        "debug",
        some_of(*DEBUG_CLASSES),
        "none",
        "original",
        "What is written to the debug log: all, none, or classes.",
        dynamic=True,
    ),
    Property(
        "debug.output.file",
        plain_text,
        "keymanager/debug_server",
        "original",
        "The debug log; relative to the home directory.",
        local=True,
    ),
    Property("log.format", choice("text", "json"), "text", "ours", "Form of the lines on standard error."),
    Property(
        "log.level",
        choice("debug", "info", "warning", "error"),
        "info",
        "ours",
        "Least weight of a line on standard error.",
    ),
    Property(
        "log.syslog",
        syslog,
        "",
        "ours",
        "Audit records and log lines go here as well: udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.",
        local=True,
    ),
    Property(
        "log.syslog.trust",
        text_or_none,
        "",
        "ours",
        "Certificates trusted at tls://, PEM; relative to the home; empty: those of the system.",
        local=True,
    ),
    Property(
        "log.syslog.certificate",
        text_or_none,
        "",
        "ours",
        "Our certificate at tls://, PEM; relative to the home; empty: none is shown.",
        local=True,
    ),
    Property("log.syslog.key", text_or_none, "", "ours", "Its key, PEM; relative to the home.", local=True),
    Property(
        "log.journald",
        flag,
        "false",
        "ours",
        "Whether they go to the journal, with their fields.",
        local=True,
    ),
)
