"""`--publish` as people write it."""

from typing import Any

import click
import pytest

from sdd.cli.publish import PUBLISH, UNPUBLISH
from tests.unit.sdd.cli.typed import Shell


@pytest.mark.parametrize(
    ("written", "body"),
    [
        ("80", {"target": 80}),
        ("5000:80", {"published": 5000, "target": 80}),
        ("5000:80/udp", {"published": 5000, "target": 80, "protocol": "udp"}),
        ("127.0.0.1:5000:80", {"address": "127.0.0.1", "published": 5000, "target": 80}),
        ("0:80", {"published": 0, "target": 80}),
        ("127.0.0.1:0:80", {"address": "127.0.0.1", "published": 0, "target": 80}),
        ("published=0,target=80", {"published": 0, "target": 80}),
        ("127.0.0.1::80", {"address": "127.0.0.1", "target": 80}),
        ("[::1]:5000:80/tcp", {"address": "::1", "published": 5000, "target": 80}),
        ("8000-8009:80-89", {"published": 8000, "published_last": 8009, "target": 80}),
        ("8000-8009:80", {"published": 8000, "published_last": 8009, "target": 80}),
        ("published=5000,target=80", {"published": 5000, "target": 80}),
        ("target=80,mode=host,policy=snat", {"target": 80, "mode": "host", "policy": "snat"}),
        ("published=53,target=53,protocol=sctp,host-ip=::", {"address": "::", "protocol": "sctp"}),
    ],
)
def test_every_form_is_understood(written: str, body: dict[str, Any]) -> None:
    found = PUBLISH.convert(written, None, None)
    assert body.items() <= found.items()


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("published=5000, target=80", "published=5000,target=80"),
        ("", "names no target"),
        ("5000:", "names no target"),
        ("published=5000", "names no target"),
        ("5000:x", 'target "x" in "5000:x" is no port'),
        ("a:80", 'published "a" in "a:80" is no port'),
        ("90-80:80", "80-90"),
        ("80:90-80", "runs backwards"),
        ("0-9:80", '"0-9"'),
        ("80:0", 'target "0"'),
        ("::1:80:80", "[::]"),
        ("1:2:3:4", "[IP:][PUBLISHED:]TARGET"),
        ("70000:80", "70000"),
        ("5000:80/icmp", "tcp, udp, sctp"),
        ("target=80,mode=both", "host, ingress"),
        ("published=5000,published=5001,target=80", "published twice"),
        ("target=80,host-ip=::,host_ip=::1", "host-ip twice"),
        ("target=80,colour=red", '"colour"'),
        ("target=80,host-ip=here", '"here"'),
        ("999.1.1.1:80:80", "999.1.1.1"),
    ],
)
def test_what_is_wrong_is_named(written: str, word: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        PUBLISH.convert(written, None, None)
    assert word in caught.value.message


def test_what_is_withdrawn_is_a_target() -> None:
    assert UNPUBLISH.convert("80", None, None) == {"target": 80}
    assert UNPUBLISH.convert("53/udp", None, None) == {"target": 53, "protocol": "udp"}
    for wrong in ("", "x", "80/icmp", "0", "70000", "80-81", "80,mode=host", "target=80,mode=host"):
        with pytest.raises(click.UsageError):
            UNPUBLISH.convert(wrong, None, None)


def test_one_of_several_numbers_of_a_target_is_withdrawn_alone() -> None:
    one = {"published": 8081, "target": 80}
    assert UNPUBLISH.convert("8081:80", None, None) == one
    assert UNPUBLISH.convert("8081:80/udp", None, None) == one | {"protocol": "udp"}
    assert UNPUBLISH.convert("published=8081", None, None) == {"published": 8081}
    assert UNPUBLISH.convert("127.0.0.1:8081:80", None, None) == one | {"address": "127.0.0.1"}


def test_a_wrong_one_is_exit_2(shell: Shell) -> None:
    done = shell("service", "create", "web", "--network", "lab", "--publish", "5000:x")
    assert (done.code, done.out) == (2, "")
