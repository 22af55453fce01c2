"""Whole transfers through a virtual address, by iperf3: a control connection and its data."""

import json
from typing import Any

import pytest

from tests.e2e.appliance import Appliance, until

MEMBERS = ("one", "two", "three")
BYTES = 20_000_000
UNREAD = ("--window", "128K")  # the kernel doubles it: of 4 connections 2 MiB are under way at most


@pytest.fixture(scope="module")
def vips(daemon: Appliance) -> dict[str, str]:
    """Of a service in which each client keeps its member: by IP version."""
    daemon.sdctl("network", "create", "front", "--ipv6")
    for name in (*MEMBERS, "client"):
        daemon.sandbox(name, "--network", "front")
    for name in MEMBERS:
        daemon.program(name, "iperf3", "--server")
    options = ("--persistence", "60s", "--health", "tcp:5201", "--health-interval", "1h")
    daemon.sdctl("service", "create", "speed", "--network", "front", *options)
    for name in MEMBERS:
        daemon.sdctl("service", "join", "speed", daemon.name(name))
    daemon.until_replicas("speed", "3/3", 60)
    (made,) = daemon.json("service", "inspect", "speed")
    return {"6" if ":" in each else "4": each for each in made["VIPs"]}


def transferred(daemon: Appliance, vip: str, *options: str) -> Any:
    """What iperf3 says of one transfer; a member whose last one ended just now says busy."""
    words = ("iperf3", "--json", "--client", vip, "--bytes", str(BYTES), *options)
    said: list[Any] = []

    def is_done() -> bool:
        found = daemon.inside("client", *words, check=False)
        said.append(json.loads(found.stdout or '{"error": "nothing is said"}'))
        return "error" not in said[-1]

    until(is_done, 120, lambda: str(said[-1].get("error")))
    return said[-1]["end"]


@pytest.mark.parametrize("version", ["4", "6"])
@pytest.mark.parametrize("options", [(), ("--reverse",), ("--parallel", "4")])
def test_a_client_keeps_its_member_for_all_connections_of_a_transfer(
    daemon: Appliance, vips: dict[str, str], version: str, options: tuple[str, ...]
) -> None:
    end = transferred(daemon, vips[version], *UNREAD, *options)
    assert end["sum_sent"]["bytes"] >= BYTES
    # The receiver stops counting when the sender has told it that all is sent, with what is under
    # way unread; what went to another member is counted by nobody.
    assert end["sum_received"]["bytes"] > BYTES / 2


@pytest.mark.parametrize("version", ["4", "6"])
def test_datagrams_go_where_the_clients_connection_went(
    daemon: Appliance, vips: dict[str, str], version: str
) -> None:
    end = transferred(daemon, vips[version], "--udp", "--bitrate", "50M")
    assert end["sum"]["bytes"] >= BYTES
    # A busy machine loses some, but another member is given none: it would end the transfer.
    assert end["sum"]["packets"] > end["sum"]["lost_packets"]
