"""A socket that listens hears what others change, however much this process does."""

import socket
import subprocess

import pytest

from lb.kernel import nft_expressions, nft_messages
from sdd.linux import namespaces, netlink, netlink_own, nft_compile

pytestmark = pytest.mark.kernel

TABLE = "sdd-t"
WRITER = nft_messages.Writer(TABLE)
MANY = nft_messages.Set(name="many", key=nft_messages.ADDRESS[4], number=1)
ADD_MEMBERSHIP, NFT_GROUP = (270, 1), 7  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP; NFNLGRP_NFTABLES


def listening() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.NETFILTER)
    opened.setblocking(False)
    netlink_own.bind(opened)
    netlink_own.ignore_own(opened)
    opened.setsockopt(*ADD_MEMBERSHIP, NFT_GROUP)
    return opened


def flood() -> None:
    """More news than a socket has room for."""
    elements = [nft_expressions.element(each.to_bytes(4, "big")) for each in range(2000)]
    made = (WRITER.add_table(), WRITER.add_set(MANY), *WRITER.add_elements(MANY, elements))
    with netlink.Connection(netlink.NETFILTER) as connection:
        for _ in range(20):
            done = (*made, WRITER.delete_table())
            assert not connection.transaction(nft_compile.SUBSYSTEM, done).error


async def test_however_much_this_process_does_no_news_of_others_are_lost() -> None:
    def work() -> bytes:
        with listening() as ear:
            flood()
            with pytest.raises(BlockingIOError):
                ear.recv(1 << 16)
            subprocess.run(["nft", "add", "table", "inet", "theirs"], check=True)
            return ear.recv(1 << 16)

    doors = namespaces.Namespaces()
    try:
        heard = await doors.scratch(work)
    finally:
        doors.close()
    assert b"theirs" in heard
    assert list(netlink_own.news(heard))
