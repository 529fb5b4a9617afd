"""When a certificate ends. Python reads that of a peer alone, so the file is made one: of itself, in memory."""

import ssl
from contextlib import suppress
from pathlib import Path

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: of one that has ended it is wanted too."""

FLIGHTS = 4
"""Of a handshake's messages, there and back; one more than it takes."""


def expiry_of(chain: Path, key: Path | None) -> float:
    """Of the first certificate of a PEM chain, in seconds since 1970. key: its private key; None if it is there too."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain, key)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.load_verify_locations(chain)
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = asking.wrap_bio(back, there), serving.wrap_bio(there, back, server_side=True)
    for _ in range(FLIGHTS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    peer = ends[0].getpeercert()
    assert peer
    return float(ssl.cert_time_to_seconds(str(peer["notAfter"])))
