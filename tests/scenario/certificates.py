"""An authority of our own and a server's certificate, for real TLS on loopback."""

import datetime as dt
import ipaddress
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "dns.test"
DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Certificates:
    """Files that everybody may read: the authority's, the server's chain and key."""

    authority: Path
    chain: Path
    key: Path


@contextmanager
def made() -> Iterator[Certificates]:
    """Fresh ones, good for a day, for `dns.test` and 127.0.0.1."""
    folder = Path(tempfile.mkdtemp(prefix="sdd-certificates-"))  # tmp_path is closed to workers
    folder.chmod(0o755)
    try:
        yield _written(folder)
    finally:
        shutil.rmtree(folder)


def _written(folder: Path) -> Certificates:
    top, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    files = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority = _signed("Test Authority", top, top, "Test Authority", is_authority=True)
    server = _signed(NAME, leaf, top, "Test Authority", is_authority=False)
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.chain.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        leaf.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for each in (files.authority, files.chain, files.key):
        each.chmod(0o644)
    return files


def _signed(
    name: str, key: Key, signer: Key, issuer: str, *, is_authority: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(signer, hashes.SHA256())
