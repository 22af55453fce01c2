"""Servers that differ are told apart, by people and in metrics."""

import pytest

from resolver.protocol import Upstream


@pytest.mark.parametrize(
    ("server", "label"),
    [
        (Upstream("10.0.0.1", 53, True), "10.0.0.1"),
        (Upstream("10.0.0.1", 5355, True), "udp://10.0.0.1:5355"),
        (Upstream("fd00::1", 5355, True), "udp://[fd00::1]:5355"),
        (Upstream("10.0.0.1", 53, True, "tcp"), "tcp://10.0.0.1:53"),
        (Upstream("10.0.0.1", 853, True, "tls"), "tls://10.0.0.1:853"),
        (Upstream("10.0.0.1", 853, True, "tls", "a.test"), "tls://10.0.0.1:853#a.test"),
        (Upstream("10.0.0.1", 443, True, "https", "", "/dns-query"), "https://10.0.0.1:443"),
        (Upstream("10.0.0.1", 443, True, "https", "a", "/x"), "https://10.0.0.1:443/x#a"),
    ],
)
def test_a_label_has_all_that_makes_a_server(server: Upstream, label: str) -> None:
    assert server.label == label
