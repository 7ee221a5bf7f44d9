"""Properties of the family that mean nothing here any more: accepted, kept in the file, listed with why."""

from __future__ import annotations

from collections.abc import Iterator

from qekm.properties.property import Property, kept

_STORES = "Certificates are in the home's directories tls and trust; none of Java's keystores is opened."
_PEER = "Servers are enrolled with qekm peers, and have everything within a moment."
_IN_STORE = "The store has the metadata: qekm keys of VOLSER, qekm cartridges of ALIAS."


def files_of_tls(prefix: str) -> Iterator[Property]:
    """Yield the properties that name Java's keystores for TLS."""
    for store in ("keystore", "truststore"):
        yield kept(f"{prefix}.{store}.name", "", _STORES)
        yield kept(f"{prefix}.{store}.type", "jceks", _STORES)
        yield kept(f"{prefix}.{store}.password", "", _STORES)
        yield kept(f"{prefix}.{store}.password.obfuscated", "", _STORES)


KEPT = (
    kept(
        "TransportListener.tcp.timeout",
        "10",
        "dkp.stepTimeout and dkp.idleTimeout say it, in seconds.",
        "min",
    ),
    kept("TransportListener.ssl.timeout", "10", "admin.sessionMinutes says how long a login lasts.", "min"),
    kept("TransportListener.ssl.protocols", "SSL_TLS", "Only TLS 1.3 is spoken."),
    kept("TransportListener.ssl.ciphersuites", "JSSE_ALL", "Those of TLS 1.3 are used."),
    kept("TransportListener.ssl.clientauthentication", "0", "Certificates are always needed, as with 2."),
    *files_of_tls("TransportListener.ssl"),
    *files_of_tls("Admin.ssl"),
    kept("Admin.ssl.protocols", "SSL_TLS", _PEER),
    kept("Admin.ssl.ciphersuites", "JSSE_ALL", _PEER),
    kept("Admin.ssl.timeout", "1", _PEER, "min"),
    kept("config.keystore.file", "", "Keys are in the store; qekm keys import reads a keystore once."),
    kept("config.keystore.password", "", "keystore.slot says what opens the keystore."),
    kept("config.keystore.password.obfuscated", "", "keystore.slot says what opens the keystore."),
    kept("config.keystore.provider", "IBMJCE", "No program of Java's is used."),
    kept("config.keystore.type", "jceks", "Keys are in the store."),
    kept("config.keygroup.xml.file", "", "Key groups are in the store."),
    kept("Audit.eventQueue.max", "0", "A record is durable before its act is answered, as with 0."),
    kept("Audit.handler.file.multithreads", "true", "Records are written in one order."),
    kept("Audit.handler.file.threadlifespan", "10", "The service ends when all is written.", "s"),
    kept("Audit.metadata.file.name", "", _IN_STORE),
    kept("Audit.metadata.file.size", "1024", _IN_STORE, "KB"),
    kept("Audit.metadata.file.cachecount", "100", _IN_STORE),
    kept("debug.output", "simple_file", "The debug log is always a file: debug.output.file."),
    kept("sync.ipaddress", "", _PEER),
    kept("sync.action", "merge", _PEER),
    kept("sync.timeinhours", "24", _PEER, "h"),
    kept("sync.type", "drivetab", _PEER),
    kept("Server.authMechanism", "EKM", "Every person has a certificate and a command password."),
    kept("Server.password", "", "Command passwords are in the store, as verifiers."),
    kept("Server.password.obfuscated", "", "Command passwords are in the store, as verifiers."),
    kept("maximum.threads", "200", "Drives are served in one thread; dkp.connectionsPerAddress limits them."),
    kept("fips", "off", "The cryptography is that of the system's OpenSSL."),
    kept("requireHardwareProtectionForSymmetricKeys", "false", "keystore.slot=pkcs11 uses a token."),
    kept("useSKIDefaultLabels", "false", "For 3592 drives, which are not served."),
    kept("zOSCompatibility", "false", "For z/OS, where this does not run."),
    kept("cert.valiDATE", "false", "Certificates that have ended are always refused."),
    kept("stopRoundRobinKeyGrps", "false", "Each key group says what happens when its keys are used."),
)
