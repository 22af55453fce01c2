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
        (ssl.SSLError(), ""),
        (ssl.SSLError("x" * 500), "x" * proof.MOST_TEXT),
    ],
)
def test_the_reason_is_short_and_says_what_to_look_at(error: ssl.SSLError, words: str) -> None:
    assert proof.lacking(error) == words
