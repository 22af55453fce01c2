"""What people read when a server cannot prove who it is."""

import ssl

import pytest

from resolver.upstream import proof


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (unverified(10, "certificate has expired"), "certificate has expired"),
        (
            unverified(9, "certificate is not yet valid"),
            "certificate is not yet valid (or the clock here is behind)",
        ),
        (ssl.SSLError("what QUIC said\n\x1b[2J"), "what quic said[2j"),
        (
            ssl.SSLCertVerificationError(
                "hostname 'dns.test' doesn't match either of DNSPattern(pattern=b'evil.test'), IPA"
            ),
            "Hostname mismatch, certificate is not valid for 'dns.test'",
        ),
        (
            ssl.SSLCertVerificationError("hostname 'fd00::1' doesn't match DNSPattern(b'x')"),
            "IP address mismatch, certificate is not valid for 'fd00::1'",
        ),
        (
            ssl.SSLCertVerificationError("Certificate is not valid yet"),
            "certificate is not valid yet (or the clock here is behind)",
        ),
        (ssl.SSLError(), ""),
        (ssl.SSLError("x" * 500), "x" * proof.MOST_TEXT),
    ],
)
def test_the_reason_is_short_and_says_what_to_look_at(error: ssl.SSLError, words: str) -> None:
    assert proof.lacking(error) == words
