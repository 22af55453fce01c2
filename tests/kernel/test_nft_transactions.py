"""nftables transactions of our own requests, and nft's text compiled to requests."""

import errno
import subprocess
from collections.abc import Iterator

import pytest

from lb.kernel import nft_expressions, nft_messages
from sdd import errors
from sdd.linux import namespaces, netlink, nft_compile

pytestmark = pytest.mark.kernel

TABLE = "sdd-t"
NEW_SET = 9  # NFT_MSG_NEWSET
WRITER = nft_messages.Writer(TABLE)
ADDRESSES = nft_messages.Set(name="many", key=nft_messages.ADDRESS[4], number=1)
TEXT = """
table inet sdd-t {
  set four { type inet_proto; elements = { tcp, udp } }
  set seen { type inet_proto . ipv4_addr . ipv4_addr; size 1000; flags dynamic; }
  map to { type ipv4_addr . inet_service : ipv4_addr . inet_service; }
  map led { type ifname : verdict; elements = { "eth0" : goto other } }
  chain other {
    meta l4proto { icmp, icmpv6 } counter accept comment "first"
  }
  chain refuse { type filter hook output priority -90; policy accept;
    ip daddr 127.1.1.1 ct original ip daddr 10.0.0.1 goto other comment "second"
    ct status dnat update @seen { meta l4proto . ct original ip daddr . ct reply ip saddr counter }
    oifname vmap @led
    meta l4proto @four reject with icmpx type port-unreachable
  }
  chain pre { type nat hook prerouting priority -100; policy accept;
    meta l4proto tcp dnat ip to ip daddr . tcp dport map @to
    dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }
  }
}
"""


@pytest.fixture
def doors() -> Iterator[namespaces.Namespaces]:
    opened = namespaces.Namespaces()
    yield opened
    opened.close()


def listed() -> str:
    return subprocess.run(["nft", "list", "ruleset"], check=True, text=True, stdout=-1).stdout


def taken(*messages: netlink.Message) -> netlink.Result:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return connection.transaction(nft_compile.SUBSYSTEM, messages)


async def test_a_transaction_is_taken_whole_or_not_at_all(doors: namespaces.Namespaces) -> None:
    def work() -> tuple[netlink.Result, str, netlink.Result, str]:
        add, chain = WRITER.add_table(), WRITER.add_chain("kept")
        refused = taken(add, chain, WRITER.flush_chain("no-such"), WRITER.add_chain("other"))
        return refused, listed(), taken(add, chain), listed()

    refused, nothing, done, table = await doors.scratch(work)
    assert refused.error == errno.ENOENT
    assert nothing == ""
    assert done == netlink.Result()
    assert "chain kept" in table
    assert "other" not in table


async def test_an_empty_transaction_is_none(doors: namespaces.Namespaces) -> None:
    assert await doors.scratch(taken) == netlink.Result()


async def test_a_transaction_may_be_larger_than_a_send_buffer(doors: namespaces.Namespaces) -> None:
    def work() -> tuple[netlink.Result, int]:
        keys = [nft_expressions.element(number.to_bytes(4, "big")) for number in range(1, 100_001)]
        elements = WRITER.add_elements(ADDRESSES, keys)
        result = taken(WRITER.add_table(), WRITER.add_set(ADDRESSES), *elements)
        return result, listed().count(",") + 1

    assert await doors.scratch(work) == (netlink.Result(), 100_000)


async def test_compiled_text_lists_as_the_text_does(doors: namespaces.Namespaces) -> None:
    def compiled() -> tuple[tuple[netlink.Message, ...], str]:
        return nft_compile.messages(TEXT, TABLE), listed()

    messages, text = await doors.scratch(compiled)
    result, again = await doors.scratch(lambda: (taken(*messages), listed()))
    assert result == netlink.Result()
    assert again == text
    assert "chain pre" in text


async def test_a_wrong_text_is_not_compiled(doors: namespaces.Namespaces) -> None:
    with pytest.raises(errors.KernelRefused, match="syntax error"):
        await doors.scratch(lambda: nft_compile.messages("table inet {", TABLE))
    inside = await doors.run("", lambda: namespaces.inode(namespaces.OWN))
    assert inside == namespaces.inode(namespaces.OWN)


async def test_a_dynamic_set_of_the_usual_size_is_no_large_table_at_once(
    doors: namespaces.Namespaces,
) -> None:
    text = f"table inet {TABLE} {{ set seen {{ type ipv4_addr; flags dynamic; }}\n}}"
    rule = f"{text}\ntable inet {TABLE} {{ chain it {{ update @seen {{ ip saddr }}\n}}\n}}"
    made = await doors.scratch(lambda: nft_compile.messages(rule, TABLE))
    bounded = rule.replace("flags", "size 1000; flags")
    small = await doors.scratch(lambda: nft_compile.messages(bounded, TABLE))

    def sizes(messages: tuple[netlink.Message, ...]) -> list[int]:
        (one,) = (each for each in messages if each.kind & 0xFF == NEW_SET)
        described = netlink.attributes(netlink.attributes(one.body[4:])[9])
        return [int.from_bytes(each, "big") for each in described.values()]

    def work() -> str:
        assert not taken(*made).error
        return listed()

    shown = await doors.scratch(work)
    assert sizes(made) == []  # the kernel would make room for as many as it says, at once
    assert sizes(small) == [1000]
    assert "size 65535" in shown  # and bounds it all the same
