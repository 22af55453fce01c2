import pytest

from resolver import protocol
from resolver.counters import Source
from resolver.message import wire
from resolver.message.wire import Rcode
from resolver.names import answer
from tests.unit.resolver.questions import a, query, scope

WEB = {wire.to_wire("web"): a("10.1.0.2")}
OTHER = {wire.to_wire("web"): a("10.2.0.2"), wire.to_wire("db"): a("10.2.0.3", "fd00::3")}


def ask(name: str, kind: str = "A", **more: object) -> answer.Answer | None:
    return answer.answer(query(name, kind), scope(WEB, OTHER, **more))


def test_N7_the_first_network_that_has_the_name_answers() -> None:
    assert ask("web") == answer.Answer(Rcode.NOERROR, a("10.1.0.2")[wire.A])
    assert ask("DB.", "AAAA") == answer.Answer(Rcode.NOERROR, a("fd00::3")[wire.AAAA])


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "HTTPS", "SVCB", "TYPE65280", "NS", "SOA"])
def test_A8_04_a_known_name_has_no_other_type_and_is_never_forwarded(kind: str) -> None:
    found = ask("web", kind)
    assert found is not None
    assert (found.rcode, found.records) == (Rcode.NOERROR, [])
    assert found.zone.startswith(wire.to_wire("web"))


def test_any_is_one_set() -> None:
    assert ask("db", "ANY") == answer.Answer(Rcode.NOERROR, a("10.2.0.3")[wire.A])


@pytest.mark.parametrize("name", ["nobody.net", "a.b.net", "9.9.1.10.in-addr.arpa"])
def test_A8_20_unknown_names_of_our_zones_do_not_exist(name: str) -> None:
    found = ask(name, "PTR")
    assert found is not None
    assert found.rcode == Rcode.NXDOMAIN
    assert found.source is Source.OWNED
    assert found.zone


def test_the_zone_itself_is_there_so_that_nothing_below_it_is_denied() -> None:
    found = ask("net")
    assert found is not None
    assert (found.rcode, found.records) == (Rcode.NOERROR, [])


@pytest.mark.parametrize("name", ["net", "1.10.in-addr.arpa", "10.in-addr.arpa", "d.f.ip6.arpa"])
def test_a_zone_of_ours_begins_with_the_soa_that_its_answers_name(name: str) -> None:
    found, below = ask(name, "SOA"), ask(f"9.9.9.{name}", "SOA")
    assert found
    assert below
    (start,) = found.records
    assert below.zone == wire.to_wire(name) + start
    assert (found.rcode, found.zone, below.records) == (Rcode.NOERROR, b"", [])


@pytest.mark.parametrize(
    "name", ["30.10.in-addr.arpa", "2.1.10.in-addr.arpa", "0.3.d.f.ip6.arpa", "16.172.in-addr.arpa"]
)
def test_blocks_of_addresses_are_there_without_records(name: str) -> None:
    for kind in ("A", "PTR", "NS"):
        found = ask(name, kind)  # RFC 8020: what is below them would not exist either
        assert found
        assert (found.rcode, found.records) == (Rcode.NOERROR, []), kind
        assert found.zone
    for odd in (
        "256.1.10.in-addr.arpa",
        "x.10.in-addr.arpa",
        "01.10.in-addr.arpa",
        "12.d.f.ip6.arpa",
    ):
        found = ask(odd)
        assert found
        assert found.rcode == Rcode.NXDOMAIN, odd


def test_a_name_that_is_only_between_others_gives_way_to_one_that_is_there() -> None:
    between: protocol.Names = {wire.to_wire("web"): {}}
    other = {wire.to_wire("web"): a("10.2.0.2")}
    for tables in ((between, other), (other, between)):
        found = answer.answer(query("web"), scope(*tables))
        assert found == answer.Answer(Rcode.NOERROR, a("10.2.0.2")[wire.A])
    alone = answer.answer(query("web"), scope(between))
    assert alone
    assert (alone.rcode, alone.records) == (Rcode.NOERROR, [])


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "LOCALHOST."])
def test_A8_17_localhost_is_the_loopback(name: str) -> None:
    four, six = ask(name), ask(name, "AAAA")
    assert four
    assert six
    assert four.records[0][-4:] == bytes((127, 0, 0, 1))
    assert six.records[0][-16:] == bytes(15) + b"\1"
    text = ask(name, "TXT")
    assert text
    assert not text.records


@pytest.mark.parametrize(
    "name",
    [
        "9.9.9.10.in-addr.arpa",
        "1.1.31.172.in-addr.arpa",
        "1.0.168.192.in-addr.arpa",
        "1.1.64.100.in-addr.arpa",
        f"{'1.' * 30}d.f.ip6.arpa",
        f"{'1.' * 29}b.e.f.ip6.arpa",
        "host.local",
        "x.onion",
        "x.alt",
        "a.invalid",
        "printer.home.arpa",
    ],
)
def test_A8_19_names_that_mean_nothing_outside_are_never_forwarded(name: str) -> None:
    found = ask(name)
    assert found
    assert found.rcode == Rcode.NXDOMAIN
    assert found.source is Source.SPECIAL


def test_resolver_arpa_says_nothing_and_is_not_forwarded() -> None:
    found = ask("_dns.resolver.arpa", "SVCB")
    assert found
    assert (found.rcode, found.records) == (Rcode.NOERROR, [])


@pytest.mark.parametrize("name", ["example.org", "nobody", "1.1.32.172.in-addr.arpa", "xnet", "."])
def test_N9_other_names_are_asked_elsewhere(name: str) -> None:
    assert ask(name) is None


def test_N15_bare_names_stay_here_when_the_user_set_ndots() -> None:
    found = ask("nobody", keeps_single=True)
    assert found
    assert found.rcode == Rcode.NXDOMAIN
    assert ask("nobody", "MX", keeps_single=True) is None
    assert ask("nobody.example", keeps_single=True) is None


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "MAILB", "MAILA", "TKEY", "OPT", "TYPE0"])
def test_meta_types_are_refused(kind: str) -> None:
    assert answer.answer(query("web")._replace(kind=KINDS[kind]), scope(WEB)) == answer.REFUSED


KINDS = {"AXFR": 252, "IXFR": 251, "MAILB": 253, "MAILA": 254, "TKEY": 249, "OPT": 41, "TYPE0": 0}


def test_X2_other_classes_are_refused() -> None:
    for klass in (3, 4, 255, 0):
        assert answer.answer(query("web")._replace(klass=klass), scope(WEB)) == answer.REFUSED


def test_added_hosts_come_first() -> None:
    view = protocol.View("s", "", ["t"], [], {wire.to_wire("web"): a("192.0.2.1")}, [])
    found = answer.answer(query("web"), answer.Scope.of(view, [WEB]))
    assert found == answer.Answer(Rcode.NOERROR, a("192.0.2.1")[wire.A])


FORWARDED = [wire.to_wire(each) for each in ("corp.local", "10.in-addr.arpa", "dc")]
SOMEBODY = [protocol.Upstream("192.0.2.53", 53, inside=False)]


def test_zones_of_a_special_use_are_forwarded_where_somebody_is_said_to_know_them() -> None:
    on = _forwarding()
    for name in ("srv.corp.local", "CORP.local", "9.9.9.10.in-addr.arpa", "dc"):
        assert answer.answer(query(name), on) is None
    for name in ("other.local", "localcorp.local", "9.9.168.192.in-addr.arpa", "x"):
        found = answer.answer(query(name), on)
        assert found is not None
        assert found.rcode == Rcode.NXDOMAIN
    ours = answer.answer(query("7.7.1.10.in-addr.arpa", "PTR"), on)  # a zone of our own
    assert ours is not None
    assert (ours.rcode, ours.source) == (Rcode.NXDOMAIN, Source.OWNED)


def test_where_nobody_can_be_asked_they_do_not_exist() -> None:
    alone = scope(WEB, forwarded=FORWARDED)
    found = answer.answer(query("srv.corp.local"), alone)
    assert found is not None
    assert found.rcode == Rcode.NXDOMAIN


def _forwarding() -> answer.Scope:
    view = protocol.View(
        sandbox="s",
        digest="",
        tables=[],
        suffixes=[wire.to_wire("1.10.in-addr.arpa")],
        own={},
        upstreams=SOMEBODY,
        keeps_single=True,
        forwarded=FORWARDED,
    )
    return answer.Scope.of(view, (WEB,))


def routed() -> answer.Scope:
    def at(text: str, *, inside: bool = True) -> protocol.Upstream:
        return protocol.Upstream(text, 53, inside)

    view = protocol.View(
        sandbox="s",
        digest="",
        tables=[],
        suffixes=[],
        own={},
        upstreams=[at("9.9.9.9", inside=False)],
        forwarded=[wire.to_wire("lan.corp.local")],
        search=[wire.to_wire("org")],
        ndots=1,
        routes={
            wire.to_wire(zone): [at(text)]
            for zone, text in {"corp.local": "10.0.0.1", "eu.corp.local": "10.0.0.2"}.items()
        },
    )
    return answer.Scope.of(view, ())


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("corp.local", "10.0.0.1"),
        ("a.b.corp.local", "10.0.0.1"),
        ("a.eu.corp.local", "10.0.0.2"),
        ("a.lan.corp.local", "9.9.9.9"),  # the daemon's zone is longer
        ("xcorp.local", "9.9.9.9"),
        ("example.org", "9.9.9.9"),
    ],
)
def test_the_longest_zone_says_whom_to_ask(name: str, server: str) -> None:
    scope = routed()
    for seen in (scope, scope.straight):
        (found,) = seen.route(wire.to_wire(name)).upstreams
        assert found.address == server
    assert answer.is_forwarded(wire.to_wire("a.corp.local"), scope)
    assert not scope.straight.route(wire.to_wire(name)).search


def test_what_is_asked_inside_for_a_zone_is_kept_apart_and_leaves_no_host() -> None:
    route = routed().route(wire.to_wire("corp.local"))
    assert route.partition == (route.upstreams, "s")
    assert not route.leaves_host
