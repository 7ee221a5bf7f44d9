"""Properties of the alarms: what somebody is told of, and how it gets to him."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import (
    address_or_none,
    choice,
    mailbox,
    mailboxes,
    text_or_none,
    webhook,
    whole,
)

LEVEL, REPEAT, DISK = "alarms.level", "alarms.repeatHours", "alarms.diskMegabytes"
MAIL_SERVER, MAIL_TLS, MAIL_USER = "alarms.mail.server", "alarms.mail.tls", "alarms.mail.user"
MAIL_PASSWORD, MAIL_TRUST = "alarms.mail.passwordFile", "alarms.mail.trust"
MAIL_FROM, MAIL_TO = "alarms.mail.from", "alarms.mail.to"
WEBHOOK_URL, WEBHOOK_SECRET = "alarms.webhook.url", "alarms.webhook.secretFile"
WEBHOOK_TRUST = "alarms.webhook.trust"

ALARMS = (
    Property(
        LEVEL,
        choice("notice", "warning", "critical"),
        "warning",
        "ours",
        "Least weight of an alarm that is sent.",
        dynamic=True,
    ),
    Property(
        REPEAT,
        whole(1, 720),
        "24",
        "ours",
        "After how long an alarm that still stands is sent again.",
        "h",
        dynamic=True,
    ),
    Property(
        DISK,
        whole(0, 1_000_000),
        "512",
        "ours",
        "Free space on the store's file system below which there is an alarm; 0: none.",
        "MB",
        dynamic=True,
    ),
    Property(
        MAIL_SERVER,
        address_or_none,
        "",
        "ours",
        "Alarms are sent by mail through this server, HOST:PORT; empty: no mail.",
        local=True,
    ),
    Property(
        MAIL_TLS,
        choice("off", "starttls", "tls"),
        "starttls",
        "ours",
        "How the connection to the mail server is protected.",
        local=True,
    ),
    Property(
        MAIL_TRUST,
        text_or_none,
        "",
        "ours",
        "Certificates trusted at the mail server, PEM; relative to the home; empty: those of the system.",
        local=True,
    ),
    Property(MAIL_USER, text_or_none, "", "ours", "Name for its login; empty: none.", local=True),
    Property(
        MAIL_PASSWORD,
        text_or_none,
        "",
        "ours",
        "The file that holds the password; relative to the home directory, or credential:NAME.",
        local=True,
    ),
    Property(MAIL_FROM, mailbox, "", "ours", "Address that mails come from.", local=True),
    Property(MAIL_TO, mailboxes, "", "ours", "Addresses that mails go to, with commas.", local=True),
    Property(
        WEBHOOK_URL,
        webhook,
        "",
        "ours",
        "Alarms are posted here as JSON, https://HOST/PATH; empty: nowhere.",
        local=True,
    ),
    Property(
        WEBHOOK_SECRET,
        text_or_none,
        "",
        "ours",
        "The file with the secret that signs them; relative to the home directory, or credential:NAME.",
        local=True,
    ),
    Property(
        WEBHOOK_TRUST,
        text_or_none,
        "",
        "ours",
        "Certificates trusted there, PEM; relative to the home; empty: those of the system.",
        local=True,
    ),
)
