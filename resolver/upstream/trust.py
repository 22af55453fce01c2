"""Whom an encrypted upstream must prove to be: the certificates that are believed.

In: the file of authorities that the settings name, or none for the system's. Out: TLS contexts,
read once as long as the file stays the same. Names are always checked; nothing turns that off.
"""

import functools
import ssl
from pathlib import Path
from typing import Final

SYSTEM: Final = ssl.get_default_verify_paths().openssl_cafile
DEBIAN: Final = "/etc/ssl/certs/ca-certificates.crt"  # where the former is a folder only


def context(ca: str, *alpn: str) -> ssl.SSLContext:
    """A client's context; raises OSError (ssl.SSLError) for a file that cannot be used. Reads."""
    return _context(ca, Path(ca).stat().st_mtime_ns if ca else 0, alpn)


def file(ca: str) -> str:
    """The file of authorities, for what takes only a file."""
    return ca or (SYSTEM if Path(SYSTEM).exists() else DEBIAN)


@functools.lru_cache(maxsize=8)
def _context(ca: str, stamp: int, alpn: tuple[str, ...]) -> ssl.SSLContext:
    del stamp
    made = ssl.create_default_context(cafile=ca or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(list(alpn))
    return made
