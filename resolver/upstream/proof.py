"""Why a server could not prove who it is, in words that say what to look at.

In: what OpenSSL says. Out: a short printable line.
"""

import ssl
from typing import Final

MOST_TEXT: Final = 100
NOT_YET: Final = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_CLOCK: Final = " (or the clock here is behind)"


def lacking(error: ssl.SSLError) -> str:
    """What is wrong with the certificate, or with the handshake before there was one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        clock = _CLOCK if error.verify_code == NOT_YET else ""
        return _plain(error.verify_message) + clock
    # One that OpenSSL did not make, as of QUIC, has no reason of its own.
    words = getattr(error, "reason", None) or (error.args[-1] if error.args else "")
    return _plain(str(words).replace("_", " ").lower())


def _plain(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:MOST_TEXT].rstrip(". ")
