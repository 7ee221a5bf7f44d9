"""The properties of ClientKeyManagerConfig.properties: where remote administration finds the key manager."""

from __future__ import annotations

from qekm.properties.kept import files_of_tls
from qekm.properties.listeners import SSL_HOST, SSL_PORT
from qekm.properties.property import Property, kept
from qekm.properties.readers import file_name, host, whole
from qekm.properties.table import Table

CLIENT_PROPERTIES = Table(
    (
        Property(
            SSL_HOST,
            host,
            "localhost",
            "original",
            "Address or name of the key manager; it must be in the certificate that it shows.",
        ),
        Property(
            SSL_PORT,
            whole(0, 65_535),
            "443",
            "original",
            "Its SSL port, as in its own configuration.",
        ),
        Property(
            "identity",
            file_name,
            "administrator",
            "ours",
            "Whose certificate is shown, unless --identity or QEKM_IDENTITY says so: pki/NAME.pem.",
        ),
        kept("TransportListener.ssl.protocols", "SSL_TLS", "Only TLS 1.3 is spoken."),
        kept("TransportListener.ssl.ciphersuites", "JSSE_ALL", "Those of TLS 1.3 are used."),
        kept("TransportListener.ssl.timeout", "10", "Every call has a deadline of its own.", "min"),
        *files_of_tls("TransportListener.ssl"),
    ),
    "QEKM_CLIENT_PROPERTY_",
)
