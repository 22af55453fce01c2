"""Records that people add to networks: what is taken, what is refused, what goes with what."""

import asyncio
from ipaddress import IPv4Address

import pytest

from resolver.desired import desired
from resolver.files.upstreams import DaemonDns
from resolver.message import wire
from resolver.names import table
from sdd import errors
from sdd.control.records import holders, is_shadowed
from sdd.model import record, request
from tests.scenario import laws
from tests.scenario.node import NODE, Node, node


async def add(one: Node, name: str, kind: str, data: str, net: str = "lab") -> record.Record:
    asked = request.RecordAdd(network=net, name=name, type=kind, data=data)
    return await one.commands.add_record(asked)


async def rm(one: Node, name: str, kind: str = "", data: str = "") -> int:
    asked = request.RecordRemove(network="lab", name=name, type=kind, data=data)
    return len(await one.commands.remove_records(asked))


async def lab(one: Node, *sandboxes: str) -> None:
    await one.commands.create_network(request.NetworkCreate(name="lab"))
    for name in sandboxes:
        await one.commands.create_sandbox(
            request.SandboxCreate(name=name, attachments=(request.Attachment(network="lab"),))
        )


async def refused(one: Node, name: str, kind: str, data: str, net: str = "lab") -> str:
    with pytest.raises(errors.SddError) as caught:
        await add(one, name, kind, data, net)
    assert caught.value.sentence
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "kind", "data", "stored"),
    [
        ("DB", "a", "10.0.0.9", "db A 10.0.0.9"),
        ("db.lab.", "AAAA", "FD00::0009", "db AAAA fd00::9"),
        ("*.apps.example", "cname", "WEB.", "*.apps.example CNAME web"),
        ("*.lab", "A", "10.0.0.9", "*.lab A 10.0.0.9"),
        ("_http._tcp.web", "SRV", "0  10 8080 Web", "_http._tcp.web SRV 0 10 8080 web"),
        ("_smtp._tcp", "SRV", "0 0 0 .", "_smtp._tcp SRV 0 0 0 ."),
        ("t", "TXT", "v=1; Grüße  x", "t TXT v=1; Grüße  x"),
    ],
)
async def test_a_record_is_stored_in_its_one_form(
    name: str, kind: str, data: str, stored: str
) -> None:
    async with node() as one:
        await lab(one)
        assert str(await add(one, name, kind, data)) == stored
        assert await refused(one, name, kind, data) == "SDD-RECORD-EXISTS"
        await laws.check(one)
        assert await rm(one, name) == 1
        await laws.check(one)
        assert not one.state.records


@pytest.mark.parametrize(
    ("name", "kind", "data", "code"),
    [
        ("*", "A", "10.0.0.9", "NAME"),
        ("a.*.b", "A", "10.0.0.9", "NAME"),
        ("a..b", "A", "10.0.0.9", "NAME"),
        ("x" * 64, "A", "10.0.0.9", "NAME"),
        ("", "A", "10.0.0.9", "NAME"),
        ("a\nb", "A", "10.0.0.9", "NAME"),
        ("db", "MX", "10 mail", "TYPE"),
        ("db", "A", "fd00::9", "DATA"),
        ("db", "A", "10.0.0.256", "DATA"),
        ("db", "AAAA", "10.0.0.9", "DATA"),
        ("db", "AAAA", "fe80::1%eth0", "DATA"),
        ("db", "CNAME", "a..b", "DATA"),
        ("db", "CNAME", ".", "DATA"),
        ("db", "CNAME", "db.lab", "CNAME"),
        ("db", "TXT", "", "DATA"),
        ("db", "TXT", "ä" * 1001, "DATA"),
        ("db", "SRV", "0 0 65536 web", "DATA"),
        ("db", "SRV", "0 0 web", "DATA"),
        ("db", "SRV", "-1 0 80 web", "DATA"),
        ("db", "SRV", "0 0 ٣ web", "DATA"),
        ("db", "SRV", "", "DATA"),
    ],
)
async def test_what_is_no_record_is_refused(name: str, kind: str, data: str, code: str) -> None:
    async with node() as one:
        await lab(one)
        assert await refused(one, name, kind, data) == f"SDD-RECORD-{code}"
        assert not one.state.records


@pytest.mark.parametrize(
    ("kind", "data", "hint"),
    [
        ("CNAME", "10.1.1.1", "for an address: sdctl dns record add lab f A 10.1.1.1"),
        ("CNAME", "fd00::9", "for an address: sdctl dns record add lab f AAAA fd00::9"),
        ("SRV", "0 0 80 10.0.0.1", "sdctl dns record add lab NAME A 10.0.0.1, then let the SRV"),
    ],
)
async def test_what_leads_to_a_name_cannot_lead_to_an_address(
    kind: str, data: str, hint: str
) -> None:
    async with node() as one:
        await lab(one)
        with pytest.raises(errors.Invalid) as why:
            await add(one, "f.lab", kind, data)
        assert why.value.code == "SDD-RECORD-DATA"
        assert hint in why.value.hint
        assert not one.state.records


async def test_where_the_ptr_record_of_a_sandbox_is_nobody_else_answers() -> None:
    async with node() as one:
        await lab(one, "web")
        (end,) = one.state.endpoints.values()
        back = end.hosts[0].reverse_pointer
        for kind, data in (("CNAME", "other"), ("A", "10.0.0.9")):
            assert await refused(one, back, kind, data) == "SDD-RECORD-TAKEN"
        other = await add(one, "9.9.9.10.in-addr.arpa", "CNAME", "x")
        beside = await add(one, back, "TXT", "rack 4")
        held = holders(one.state, other.network)
        assert not is_shadowed(other, held)
        assert not is_shadowed(beside, held)


async def test_an_alias_at_the_ptr_record_of_a_sandbox_that_comes_later_is_shadowed() -> None:
    async with node() as one:
        await lab(one)
        free = next(iter(one.state.networks.values())).pools[0].subnet[2]
        assert isinstance(free, IPv4Address)
        early = await add(one, free.reverse_pointer, "CNAME", "other.example")
        assert not is_shadowed(early, holders(one.state, early.network))
        attached = request.Attachment(network="lab", ip=free)
        asked = request.SandboxCreate(name="web", attachments=(attached,))
        await one.commands.create_sandbox(asked)
        assert is_shadowed(early, holders(one.state, early.network))
        (names,) = (
            each.names for each in desired(one.state, NODE, DaemonDns()).snapshot.tables.values()
        )
        for owner in (early.name, f"{early.name}.lab"):
            assert wire.CNAME not in names.get(wire.to_wire(owner), {}), owner


async def test_a_network_must_be_there_and_have_names() -> None:
    async with node() as one:
        await one.commands.ensure_default_network()
        assert await refused(one, "db", "A", "10.0.0.9") == "SDD-NET-NOTFOUND"
        assert await refused(one, "db", "A", "10.0.0.9", "bridge") == "SDD-RECORD-NETWORK"


async def test_a_cname_is_alone_at_its_name() -> None:
    async with node() as one:
        await lab(one)
        await add(one, "db", "A", "10.0.0.9")
        assert await refused(one, "db", "CNAME", "x") == "SDD-RECORD-CNAME"
        await add(one, "alias", "CNAME", "db")
        assert await refused(one, "alias", "CNAME", "x") == "SDD-RECORD-CNAME"
        assert await refused(one, "alias", "TXT", "x") == "SDD-RECORD-CNAME"


@pytest.mark.parametrize(
    ("there", "made", "says"),
    [
        (["a1 CNAME a2"], "a2 CNAME a1", "a2 → a1 → a2"),
        (["a1 CNAME a2.lab", "a2 CNAME a3"], "a3 CNAME a1.lab", "a3 → a1.lab → a2.lab → a3"),
        ([], "*.x CNAME y.x", "*.x → y.x"),
        (["*.x CNAME b"], "b CNAME deep.y.x.lab", "b → deep.y.x.lab → b"),
        ([], "*.lab CNAME b.lab", "*.lab → b.lab"),
    ],
)
async def test_aliases_in_a_circle_are_refused_by_name(
    there: list[str], made: str, says: str
) -> None:
    async with node() as one:
        await lab(one)
        for each in there:
            await add(one, *each.split())
        with pytest.raises(errors.Conflict) as why:
            await add(one, *made.split())
        assert why.value.sentence.endswith(f"alias of itself on network lab: {says}")
        assert why.value.code == "SDD-RECORD-CNAME"
        await add(one, made.split(maxsplit=1)[0], "CNAME", "elsewhere.example")


async def test_aliases_that_end_are_no_circle() -> None:
    async with node() as one:
        await lab(one, "web")
        for each in (
            "a1 CNAME a2",
            "a2 CNAME web",
            "*.x CNAME own.x",  # which has records of its own, when they have come
            "*.y CNAME x.y.example",
            "up CNAME a1",
        ):
            if each.startswith("*.x"):
                await add(one, "own.x", "TXT", "here")
            await add(one, *each.split())


async def test_of_two_at_the_same_time_a_cname_is_alone_as_well() -> None:
    async with node() as one:
        await lab(one)
        both = await asyncio.gather(
            add(one, "db", "A", "10.0.0.9"), add(one, "db", "CNAME", "x"), return_exceptions=True
        )
        assert [type(each) for each in both] == [record.Record, errors.Conflict]
        await laws.check(one)


async def test_a_name_that_is_held_is_refused_and_one_that_comes_later_shadows() -> None:
    async with node() as one:
        await lab(one, "web")
        await one.commands.create_service(
            request.ServiceCreate(name="Api", network="lab", aliases=("front",))
        )
        for name in ("web", "WEB.lab", "api", "front", "tasks.api"):
            assert await refused(one, name, "A", "10.0.0.9") == "SDD-RECORD-TAKEN", name
        await add(one, "web", "TXT", "beside it")
        early = await add(one, "early", "CNAME", "api")
        assert not is_shadowed(early, holders(one.state, early.network))
        made = await one.commands.create_sandbox(
            request.SandboxCreate(name="early", attachments=(request.Attachment(network="lab"),))
        )
        assert is_shadowed(early, holders(one.state, early.network))
        lab_net = one.state.networks[early.network]
        entry = table.table(one.state, lab_net, 5).names[wire.to_wire("early")]
        assert set(entry) == {wire.A}
        await one.commands.remove_sandbox(made.id)
        assert not is_shadowed(early, holders(one.state, early.network))
        entry = table.table(one.state, lab_net, 5).names[wire.to_wire("early")]
        assert set(entry) == {wire.CNAME}


async def test_rm_takes_the_name_the_type_or_the_one_record() -> None:
    async with node() as one:
        await lab(one)
        for data in ("10.0.0.8", "10.0.0.9"):
            await add(one, "db", "A", data)
        await add(one, "db", "TXT", "x")
        assert await rm(one, "db", "A", "10.0.0.8") == 1
        assert await rm(one, "DB.lab", "txt") == 1
        assert await rm(one, "db") == 1
        with pytest.raises(errors.NotFound):
            await rm(one, "db")


async def test_records_go_with_their_network() -> None:
    async with node() as one:
        await lab(one)
        await add(one, "db", "A", "10.0.0.9")
        await one.commands.remove_network("lab")
        assert not one.state.records
        await laws.check(one)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("::FFFF:1.2.3.4", "::ffff:1.2.3.4"),
        ("::ffff:102:304", "::ffff:1.2.3.4"),
        ("::1:2", "::1:2"),
    ],
)
async def test_an_ipv4_address_in_an_ipv6_one_is_shown_as_such(given: str, shown: str) -> None:
    async with node() as one:
        await lab(one)
        await add(one, "db", "AAAA", given)
        (made,) = one.state.records.values()
        assert (made.shown, str(made)) == (shown, f"db AAAA {shown}")
        assert await rm(one, "db", "AAAA", shown) == 1


async def test_a_name_has_a_bounded_number_of_records() -> None:
    async with node() as one:
        await lab(one)
        for number in range(100):
            await add(one, "db", "TXT", str(number))
        assert await refused(one, "db", "TXT", "more") == "SDD-RECORD-MANY"


@pytest.mark.parametrize(("name", "most"), [("db", 32), ("*.db", 32), ("d" * 63, 32)])
async def test_records_that_no_answer_takes_together_are_refused(name: str, most: int) -> None:
    """Part of a set says something else than the whole, and no stub sees that (RFC 2181 §9)."""
    async with node() as one:
        await lab(one)
        for number in range(most):
            await add(one, name, "TXT", f"{number:02}".ljust(2000, "x"))
        assert await refused(one, name, "TXT", "y" * 2000) == "SDD-RECORD-MANY"
        await add(one, name, "A", "10.0.0.9")  # a set of its own
        left = 65535 - 27 - len(owned_longest(name)) - most * (12 + 2008) - 12
        longest = max(size for size in range(1000) if size + -(-size // 255) <= left)
        assert await refused(one, name, "TXT", "y" * (longest + 1)) == "SDD-RECORD-MANY"
        await add(one, name, "TXT", "y" * longest)
        assert await refused(one, name, "TXT", "z") == "SDD-RECORD-MANY"
        await laws.check(one)
        (net,) = (each for each in one.state.networks.values() if each.name == "lab")
        entry = table.table(one.state, net, 5).names[wire.to_wire(f"{name}.lab")]
        owner = owned_longest(name)
        query = wire.Query(owner, wire.TXT, wire.IN, 16 + len(owner), 1232, True, False)
        said = bytes(12) + owner + b"\0\x10\0\1"
        reply = wire.respond(said, query, 0, entry[wire.TXT], stream=True)
        assert 65534 <= len(reply) <= 65535
        assert reply[2] & 2 == 0, "TC"


def owned_longest(name: str) -> bytes:
    """As long as any name that its records are asked for on the network `lab`."""
    return bytes(255) if name.startswith("*") else wire.to_wire(f"{name}.lab")


async def test_what_workers_get_follows_the_records() -> None:
    async with node() as one:
        await lab(one, "c")
        before = desired(one.state, NODE, DaemonDns()).snapshot
        await add(one, "*.apps", "A", "10.0.0.9")
        after = desired(one.state, NODE, DaemonDns()).snapshot
        (net,) = after.tables
        (view,) = after.views.values()
        assert view.wild == [net]
        assert after.tables[net].digest != before.tables[net].digest
        assert view.digest != next(iter(before.views.values())).digest
