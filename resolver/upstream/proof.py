"""Why a server could not prove who it is, in words that say what to look at.

In: what OpenSSL says, or the library for QUIC. Out: a short printable line.
"""

import ipaddress
import re
import ssl
from typing import Final

MOST_TEXT: Final = 100
NOT_YET: Final = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_CLOCK: Final = " (or the clock here is behind)"


# The library for QUIC, whose sentence goes on with values of Python.
_OTHER: Final = re.compile(r"hostname '([^']+)' doesn't match")
_TOO_EARLY: Final = "certificate is not valid yet"


def lacking(error: ssl.SSLError) -> str:
    """What is wrong with the certificate, or with the handshake before there was one."""
    # One that OpenSSL did not make, as of QUIC, has no message or reason of its own.
    if message := getattr(error, "verify_message", ""):
        clock = _CLOCK if getattr(error, "verify_code", 0) == NOT_YET else ""
        return _plain(message) + clock
    words = str(getattr(error, "reason", None) or (error.args[-1] if error.args else ""))
    if found := _OTHER.match(words):
        return _plain(_mismatch(found[1]))
    words = _plain(words.replace("_", " ").lower())
    return words + (_CLOCK if words == _TOO_EARLY else "")


def _mismatch(name: str) -> str:
    """As OpenSSL says it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"Hostname mismatch, certificate is not valid for '{name}'"
    return f"IP address mismatch, certificate is not valid for '{name}'"


def _plain(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:MOST_TEXT].rstrip(". ")
