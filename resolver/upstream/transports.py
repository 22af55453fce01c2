"""Whether the transports that the settings name can be used here: said at the start, not later.

In: the servers and the file of authorities. Out: nothing, or an error that names what is missing.
"""

import importlib.util
import ssl
from collections.abc import Iterable
from pathlib import Path

from resolver.upstream import trust
from sdd import errors
from sdd.model.nameserver import Nameserver, Transport

QUIC_LIBRARY = "aioquic"


def check(servers: Iterable[Nameserver], ca: Path | None) -> None:
    """Raises `errors.Invalid` for QUIC without its library, and for a file without certificates."""
    if any(each.transport not in usable() for each in servers):
        raise errors.Invalid(
            '"dns" names a server over QUIC, and the library for QUIC is not installed',
            hint="install the extra: pip install 'sdd[quic]'; or use tls:// or https://",
            code="SDD-DNS-QUIC",
        )
    if ca is not None:
        _check_authorities(ca)


def usable() -> frozenset[Transport]:
    """The transports whose libraries are installed."""
    return frozenset(each for each in Transport if each is not Transport.QUIC or has_quic())


def has_quic() -> bool:
    """Whether the extra `quic` is installed."""
    return importlib.util.find_spec(QUIC_LIBRARY) is not None


def _check_authorities(ca: Path) -> None:
    try:
        trust.check(str(ca))
        ssl.create_default_context(cafile=str(ca))
    except OSError as exc:
        raise errors.Invalid(
            f"no certificate can be read from {ca}: {exc.strerror or exc}",
            hint="it must hold certificates of authorities in PEM form, readable by everybody",
            code="SDD-DNS-CA",
        ) from exc
