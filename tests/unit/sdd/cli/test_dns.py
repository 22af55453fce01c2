from dataclasses import replace

import pytest

from resolver.explain import inspection
from tests.unit.sdd.api.names import Answer
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def asking(shell: Shell) -> Shell:
    shell.ok("sandbox", "create", "c")
    two = (("web.", 5, "A", "10.0.0.2"), ("web.", 5, "A", "10.0.0.3"))
    shell.appliance.resolver.names |= {
        ("web", "A"): Answer(answers=two),
        ("web", "AAAA"): Answer(),
        ("go", "AAAA"): Answer(answers=(("go.", 5, "CNAME", "web."),)),
        ("go", "CNAME"): Answer(answers=(("go.", 5, "CNAME", "web."),)),
        ("go", "ANY"): Answer(answers=(("go.", 5, "CNAME", "web."),)),
        ("bad", "A"): Answer(rcode="SERVFAIL"),
        ("slow", "A"): Answer(rcode="TIMEOUT"),
    }
    return shell


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("web",), 0),
        (("nothing",), 3),
        (("web", "AAAA"), 4),
        (("go", "AAAA"), 4),
        (("go", "CNAME"), 0),
        (("go", "ANY"), 0),
        (("bad",), 5),
        (("slow",), 5),
    ],
)
def test_exit_codes_tell_why_there_is_no_answer(
    asking: Shell, argv: tuple[str, ...], code: int
) -> None:
    assert asking("dns", "query", *argv, "--from", "c").code == code


def test_an_alias_that_leads_to_nothing_is_no_answer(asking: Shell) -> None:
    done = asking("dns", "query", "go", "AAAA", "--from", "c")
    assert "go AAAA: NOERROR, but no AAAA record (NODATA) from" in done.err
    assert "web." in done.out
    short = asking("dns", "query", "go", "AAAA", "--from", "c", "--short")
    assert (short.code, short.out) == (4, "")
    asking.appliance.resolver.search = ("go",)
    asking.appliance.resolver.names["go.go", "AAAA"] = Answer(answers=(("x.", 5, "AAAA", "fd::1"),))
    further = asking("dns", "query", "go", "AAAA", "--from", "c", "--search", "--short")
    assert (further.code, further.out) == (0, "fd::1\n")


def test_what_a_reply_says_of_itself_is_told(asking: Shell) -> None:
    explained = ((0, "aliases lead to each other"), (6, ""), (4711, ""))
    asking.appliance.resolver.names["bad", "A"] = Answer(rcode="SERVFAIL", explained=explained)
    wanted = ["why: aliases lead to each other (EDE 0)", "why: DNSSEC Bogus (EDE 6)"]
    wanted.append("why: (EDE 4711)")
    done = asking("dns", "query", "bad", "--from", "c")
    assert [line.strip() for line in done.err.splitlines()[-3:]] == wanted
    traced = asking("dns", "trace", "bad", "--from", "c")
    assert [line.strip() for line in traced.out.splitlines()[-3:]] == wanted
    (found,) = asking("dns", "query", "bad", "--from", "c", "-o", "json").json()
    assert found["Explained"][1] == {"Code": 6, "Text": "DNSSEC Bogus"}


def test_an_answer_that_is_not_whole_is_told_as_such(asking: Shell) -> None:
    names = asking.appliance.resolver.names
    names["web", "A"] = replace(names["web", "A"], is_cut=True)
    wanted = "not whole: there are records that this answer had no room for (TC)"
    assert wanted in asking.ok("dns", "query", "web", "--from", "c").err
    assert wanted in asking.ok("dns", "trace", "web", "--from", "c").out
    for name, is_cut in (("web", True), ("nothing", False)):
        (found,) = asking("dns", "query", name, "--from", "c", "-o", "json").json()
        assert found["Truncated"] is is_cut


@pytest.mark.parametrize("argv", [("a..b",), ("",), ("web", "FOO"), ("web", "99999"), ("a" * 64,)])
def test_what_is_no_question_is_a_wrong_command_line(asking: Shell, argv: tuple[str, ...]) -> None:
    for verb in ("query", "trace"):
        done = asking("dns", verb, *argv, "--from", "c")
        assert (done.code, done.out) == (2, ""), argv
        assert "[SDD-DNS-QUESTION]" in done.err
    assert not asking.appliance.resolver.asked


def test_answers_are_a_table_and_short_is_data_only(asking: Shell) -> None:
    done = asking.ok("dns", "query", "web", "--from", "c", "--tcp")
    head, *rows = done.out.splitlines()
    assert head.split() == ["NAME", "TTL", "TYPE", "DATA"]
    assert [row.split()[-1] for row in rows] == ["10.0.0.2", "10.0.0.3"]
    assert "NOERROR from 127.0.0.11 in 0.2 ms, sdd itself: NOERROR" in done.err
    assert asking.appliance.resolver.asked[-1][-1] is True
    assert asking.ok("dns", "query", "web", "--from", "c", "--short").out == "10.0.0.2\n10.0.0.3\n"
    (found,) = asking.ok("dns", "query", "web", "--from", "c", "-o", "json").json()
    assert found["Rcode"] == "NOERROR"


def test_quiet_prints_nothing_but_data(asking: Shell) -> None:
    done = asking.ok("dns", "query", "web", "--from", "c", "-q")
    assert (done.out, done.err) == ("10.0.0.2\n10.0.0.3\n", "")
    none = asking("-q", "dns", "query", "nothing", "--from", "c")
    assert (none.code, none.out) == (3, "")


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        (("10.0.0.2",), ("2.0.0.10.in-addr.arpa.", "PTR")),
        (("10.0.0.2", "ptr"), ("2.0.0.10.in-addr.arpa.", "PTR")),
        (("fe80::1%eth0",), (f"1.{'0.' * 28}8.e.f.ip6.arpa.", "PTR")),
        (("10.0.0.2", "A"), ("10.0.0.2", "A")),
        (("10.0.0", ""), ("10.0.0", "A")),
    ],
)
def test_of_an_address_the_name_is_asked(
    asking: Shell, argv: tuple[str, ...], asked: tuple[str, str]
) -> None:
    for verb in ("query", "trace"):
        asking("dns", verb, *argv, "--from", "c")
        assert asking.appliance.resolver.asked[-1][1:3] == asked


@pytest.mark.parametrize("text", ["web:80", "http://web/", "https://web:443/x?y", "dns://web"])
def test_a_name_with_more_around_it_is_asked_nobody(asking: Shell, text: str) -> None:
    done = asking("dns", "query", text, "--from", "c")
    assert done.code == 2
    assert "ask for the name alone: web" in done.err


def test_a_block_of_addresses_has_no_name(asking: Shell) -> None:
    for argv in (("query", "10.31.1.0/24", "--from", "c"), ("cache", "flush", "10.31.1.0/24")):
        done = asking("dns", *argv)
        assert (done.code, done.out) == (2, "")
        assert "a block of addresses" in done.err
    slash = "0/25.2.0.192.in-addr.arpa"  # RFC 2317: a label may hold one
    assert asking("dns", "query", slash, "--from", "c").code == 3


def test_a_type_by_its_number_is_told_by_its_name(asking: Shell) -> None:
    done = asking("dns", "query", "web", "28", "--from", "c")
    assert "web AAAA: " in done.err
    assert "web TYPE65280: " in asking("dns", "query", "web", "65280", "--from", "c").err


def test_a_wildcard_is_nothing_to_flush(asking: Shell) -> None:
    done = asking("dns", "cache", "flush", "*.example")
    assert (done.code, done.out) == (2, "")
    assert "a name stands for all below it: example" in done.err
    assert not asking.appliance.resolver.flushed


def test_search_goes_the_way_of_programs(asking: Shell) -> None:
    names = asking.appliance.resolver.names
    asking.appliance.resolver.search = ("example", "net")
    names["short.net", "A"] = names["web", "A"]
    assert asking("dns", "query", "short", "--from", "c").code == 3
    done = asking.ok("dns", "query", "short", "--from", "c", "--search", "--tcp")
    assert done.err.startswith("short.net A: NOERROR")
    assert [each[1:] for each in asking.appliance.resolver.asked[-3:]] == [
        (name, "A", True) for name in ("short", "short.example", "short.net")
    ]
    names["half.example", "A"] = Answer(rcode="NOERROR")
    none = asking("dns", "query", "half", "--from", "c", "--search")
    assert (none.code, none.err.split()[0]) == (4, "half.example")
    assert asking("dns", "query", "nobody", "--from", "c", "--search").code == 3
    names["lost.example", "A"] = Answer(rcode="SERVFAIL")
    assert asking("dns", "query", "lost", "--from", "c", "--search").code == 5


def test_without_from_it_says_what_is_missing(asking: Shell) -> None:
    done = asking("dns", "query", "web")
    assert done.code == 2
    assert "--from SANDBOX" in done.err
    assert asking("dns", "query", "web", "--from", "nobody").code == 1


def test_trace_shows_every_question_and_its_decisions(asking: Shell) -> None:
    asking.appliance.resolver.search = ("example", "net")
    asking.appliance.resolver.names["nothing.net", "A"] = asking.appliance.resolver.names[
        "web", "A"
    ]
    done = asking.ok("dns", "trace", "nothing", "--from", "c")
    assert done.out.splitlines() == [
        "nothing A",
        "  owned: NXDOMAIN",
        "  = NXDOMAIN in 0.2 ms",
        "nothing.example A",
        "  owned: NXDOMAIN",
        "  = NXDOMAIN in 0.2 ms",
        "nothing.net A",
        "  owned: NOERROR",
        "  = NOERROR 10.0.0.2, 10.0.0.3 in 0.2 ms",
    ]
    found = asking.ok("dns", "trace", "web", "--from", "c", "-o", "json").json()
    assert found[0]["Steps"] == [{"Stage": "owned", "Text": "NOERROR"}]
    assert asking("dns", "trace", "nobody", "--from", "c").code == 3


@pytest.mark.parametrize(
    ("zone", "owner"),
    [("lab.", "network lab"), ("9.1.10.in-addr.arpa.", "network lab"), ("gone.", "own zone gone.")],
)
def test_the_network_in_whose_zone_a_name_is_not_there_is_the_source(
    asking: Shell, zone: str, owner: str
) -> None:
    asking.ok("network", "create", "lab", "--subnet", "10.1.9.0/24")
    asking.ok("network", "connect", "lab", "c")
    asking.appliance.resolver.zones["x.lab"] = zone
    done = asking("dns", "query", "x.lab", "--from", "c")
    assert done.code == 3
    assert f"NXDOMAIN from 127.0.0.11 in 0.2 ms, {owner}" in done.err
    traced = asking("dns", "trace", "x.lab", "--from", "c").out.splitlines()
    whose = f" of {owner}" if owner.startswith("network") else ""
    assert f"  own zone: {zone}{whose}" in traced


def test_the_cache_is_listed_and_flushed(asking: Shell) -> None:
    entry = inspection.CacheEntry(
        name="www.example.org.",
        rdtype="A",
        rcode="NOERROR",
        records=2,
        left_s=42,
        sandbox="",
        servers=("10.0.0.1", "10.0.0.2"),
        flags=("rd", "do"),
    )
    asking.appliance.resolver.entries = (entry, replace(entry, left_s=-3, sandbox="gone"))
    first, second = asking.ok("dns", "cache", "ls").out.splitlines()[1:]
    assert first.split() == [
        "www.example.org.",
        "A",
        "rd,do",
        "NOERROR",
        "2",
        "42s",
        "-",
        "10.0.0.1,10.0.0.2",
    ]
    assert second.split()[5:7] == ["stale", "gone"]
    assert "2 forgotten" in asking.ok("dns", "cache", "flush").err
    asking.ok("dns", "cache", "flush", "example.org")
    asking.ok("dns", "cache", "flush", "10.0.0.2")
    assert asking.appliance.resolver.flushed == [".", "example.org", "2.0.0.10.in-addr.arpa."]
    names = asking.ok("dns", "cache", "ls", "-q").out
    assert names == "www.example.org.\n" * 2


def test_what_is_no_name_to_flush_is_said_without_a_type(asking: Shell) -> None:
    done = asking("dns", "cache", "flush", "a..b")
    assert (done.code, done.out) == (2, "")
    assert "'a..b' is no DNS name" in done.err
    assert "type" not in done.err
    assert not asking.appliance.resolver.flushed


def test_upstreams_are_listed(asking: Shell) -> None:
    server = inspection.Upstream(
        address="10.0.0.1",
        port=53,
        sandbox="",
        state="down",
        silent=3,
        rtt_ms=1.25,
        edns=True,
        keeps_case=False,
        zones=(".", "corp.local"),
        error="timeout",
        error_s=75.0,
    )
    well = replace(server, state="up", silent=0, edns=False, keeps_case=True, error="", zones=())
    many = replace(well, zones=tuple(f"z{number}" for number in range(40)))
    asking.appliance.resolver.servers = (server, well, many)
    head, *rows = asking.ok("dns", "upstream", "ls").out.splitlines()
    assert head.split()[-5:] == ["RTT", "EDNS", "CASE", "LAST", "ERROR"]
    zones, error = ".,corp.local", ["timeout,", "75s", "ago"]
    assert [row.split() for row in rows] == [
        ["10.0.0.1", "53", "host", zones, "down", "3", "1.2ms", "yes", "lost", *error],
        ["10.0.0.1", "53", "host", "-", "up", "0", "1.2ms", "no", "kept", "-"],
        ["10.0.0.1", "53", "host", "z0,z1,z2", "+37", "up", "0", "1.2ms", "no", "kept", "-"],
    ]
    assert ",z39 " in asking.ok("dns", "upstream", "ls", "--no-trunc").out
    told = asking.ok("dns", "upstream", "ls", "-o", "json").json()
    assert [each["Zones"] for each in told] == [[".", "corp.local"], [], list(many.zones)]


def test_what_is_not_known_of_an_upstream_is_null_and_not_zero(asking: Shell) -> None:
    """To a script 0 is a fast server, and an error of just now."""
    new = inspection.Upstream(
        address="10.0.0.1",
        port=53,
        sandbox="",
        state="new",
        silent=0,
        rtt_ms=0.0,
        edns=True,
        keeps_case=True,
    )
    failed = replace(new, rtt_ms=0.5, error="timeout", error_s=0.0)
    asking.appliance.resolver.servers = (new, failed)
    told = asking.ok("dns", "upstream", "ls", "-o", "json").json()
    assert [each["RttMs"] for each in told] == [None, 0.5]
    assert [each["LastErrorSeconds"] for each in told] == [None, 0.0]
    _, row, _ = asking.ok("dns", "upstream", "ls").out.splitlines()
    assert row.split()[-4:] == ["-", "yes", "kept", "-"]


def test_records_are_added_listed_and_removed(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    assert (
        shell.ok("dns", "record", "add", "lab", "_s._tcp.x", "SRV", "0", "1", "80", "x").out == ""
    )
    (made,) = shell.ok("dns", "record", "add", "lab", "db", "A", "10.0.0.9", "-o", "json").json()
    assert (made["Network"], made["Name"], made["Data"]) == ("lab", "db", "10.0.0.9")
    head, *rows = shell.ok("dns", "record", "ls", "lab").out.splitlines()
    assert head.split() == ["NETWORK", "NAME", "TYPE", "DATA", "STATE"]
    assert [row.split() for row in rows] == [
        ["lab", "_s._tcp.x", "SRV", "0", "1", "80", "x", "active"],
        ["lab", "db", "A", "10.0.0.9", "active"],
    ]
    assert shell.ok("dns", "record", "rm", "lab", "db").err == "1 removed\n"
    assert len(shell.ok("dns", "record", "ls").out.splitlines()) == 2
    assert shell("dns", "record", "rm", "lab", "db").code == 1
    assert shell("dns", "record", "ls", "nowhere").code == 1


def test_whoever_lets_a_record_lead_to_nobody_is_warned(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    told = shell.ok("dns", "record", "add", "lab", "www", "CNAME", "web").err
    assert told.startswith("Warning: web is no name of network lab: the record leads nowhere")
    assert shell.ok("dns", "record", "add", "lab", "web", "A", "10.0.0.9").err == ""
    made = shell.ok("dns", "record", "add", "lab", "w3", "CNAME", "web", "-o", "json")
    assert (made.err, made.json()[0]["Warning"]) == ("", "")


def test_a_record_is_shadowed_while_a_sandbox_has_its_name(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    shell.ok("dns", "record", "add", "lab", "web", "A", "10.0.0.9")
    shell.ok("sandbox", "create", "web", "--network", "lab")
    assert shell.ok("dns", "record", "ls", "lab").out.splitlines()[1].endswith("shadowed")


def test_a_long_text_leaves_the_table_of_records_narrow(shell: Shell) -> None:
    text = "v=DKIM1; p=" + "A" * 1500
    shell.ok("network", "create", "lab")
    shell.ok("dns", "record", "add", "lab", "key", "TXT", text)
    shell.ok("dns", "record", "add", "lab", "db", "A", "10.0.0.9")
    lines = shell.ok("dns", "record", "ls").out.splitlines()
    assert max(map(len, lines)) < 120
    assert any("…" in line for line in lines)
    assert "A" * 200 in shell.ok("dns", "record", "ls", "--no-trunc").out
    assert "A" * 200 in shell.ok("dns", "record", "ls", "-o", "json").out
