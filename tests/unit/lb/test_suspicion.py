"""Which counts speak against a backend, and which do not."""

import pytest

from lb.growth import Growth
from lb.suspicion import is_suspect


@pytest.mark.parametrize(
    ("tcp", "udp", "suspect"),
    [
        pytest.param(Growth(), Growth(), False, id="nothing moves"),
        pytest.param(Growth(connections=5, in_packets=5), Growth(), True, id="silence"),
        pytest.param(
            Growth(connections=5, in_packets=5, out_packets=5), Growth(), True, id="refusals"
        ),
        pytest.param(
            Growth(connections=5, in_packets=30, out_packets=25), Growth(), False, id="answers"
        ),
        pytest.param(
            Growth(in_packets=30), Growth(), False, id="no new connection, an old one retransmits"
        ),
        pytest.param(Growth(), Growth(connections=1, in_packets=2), False, id="two datagrams"),
        pytest.param(Growth(), Growth(connections=1, in_packets=3), True, id="three datagrams"),
        pytest.param(
            Growth(), Growth(connections=9, in_packets=9, out_packets=1), False, id="one answers"
        ),
    ],
)
def test_signs(tcp: Growth, udp: Growth, suspect: bool) -> None:
    assert is_suspect({"tcp": tcp, "udp": udp}) is suspect


def test_a_protocol_that_was_not_seen_says_nothing() -> None:
    assert not is_suspect({})
