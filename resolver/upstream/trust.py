"""Whom an encrypted upstream must prove to be: the certificates that are believed.

In: the file of authorities that the settings name, or none for the system's. Out: TLS contexts,
read once as long as the file stays the same. Names are always checked; nothing turns that off.
"""

import functools
import ssl
from pathlib import Path
from typing import Final

from sdd import plain

SYSTEM: Final = ssl.get_default_verify_paths().openssl_cafile
MOST_BYTES: Final = 1 << 22  # all authorities of the web take a twentieth of that
DEBIAN: Final = "/etc/ssl/certs/ca-certificates.crt"  # where the former is a folder only


def context(ca: str, *alpn: str) -> ssl.SSLContext:
    """A client's context; raises OSError (ssl.SSLError) for a file that cannot be used. Reads."""
    return _context(ca, check(ca) if ca else 0, alpn)


def file(ca: str) -> str:
    """The file of authorities, for what takes only a file; raises OSError as `check` does."""
    found = ca or (SYSTEM if Path(SYSTEM).exists() else DEBIAN)
    check(found)
    return found


def check(ca: str) -> int:
    """When the file was written; raises OSError for what would be read for ever, or waited for."""
    return plain.check(ca, MOST_BYTES).st_mtime_ns


@functools.lru_cache(maxsize=8)
def _context(ca: str, stamp: int, alpn: tuple[str, ...]) -> ssl.SSLContext:
    del stamp
    made = ssl.create_default_context(cafile=ca or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(list(alpn))
    return made
