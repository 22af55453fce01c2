"""resolv.conf: hostile input, Docker's rules, what the sandbox's file says."""

from ipaddress import ip_address

import pytest

from resolver.files import resolvconf


def test_A8_98_crlf_tabs_long_lines_and_no_final_newline_are_parsed() -> None:
    text = f"nameserver\t192.0.2.1\r\n# c\r\n;x\r\nsearch {'a' * 10_000}\noptions ndots:2  rotate"
    found = resolvconf.parse(text)
    assert (found.servers, found.search) == ((ip_address("192.0.2.1"),), ())
    assert found.options == ("ndots:2", "rotate")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("search " + "corp.example " * 200, f"search {'corp.example ' * 4}corp. (2607 characters)"),
        ("\ufeffnameserver 127.0.0.53", "?nameserver 127.0.0.53"),
        ("search good.example a/b", "search a/b"),
        ("options rotate no:x", "options no:x"),
        ("family \x07", "family ?"),
    ],
)
def test_A8_98_what_is_left_out_is_told_printable(line: str, told: str) -> None:
    found = resolvconf.parse(f"{line}\nnameserver 192.0.2.1\n")
    assert [each.replace("…", "") for each in found.skipped] == [told]
    assert found.servers == (ip_address("192.0.2.1"),)


def test_a_line_behind_a_blank_says_nothing_to_libc_nor_to_us() -> None:
    found = resolvconf.parse(" nameserver 192.0.2.1\n\toptions ndots:3\nnameserver 192.0.2.2\n")
    assert list(map(str, found.servers)) == ["192.0.2.2"]
    assert found.options == ()
    assert found.skipped == (
        "nameserver 192.0.2.1 (behind a blank)",
        "options ndots:3 (behind a blank)",
    )


def test_A8_97_more_than_three_servers_and_scopes_are_kept() -> None:
    lines = [f"nameserver 192.0.2.{number}" for number in range(1, 6)]
    found = resolvconf.parse("\n".join([*lines, "nameserver fe80::1%eth0"]))
    assert len(found.servers) == 6
    assert str(found.servers[-1]) == "fe80::1%eth0"


@pytest.mark.parametrize("bad", ["1.2.3", "example.org", "fe80::1%a/b", "192.0.2.1.", "\x1b[2J"])
def test_a_nameserver_that_is_no_address_is_told_printable(bad: str) -> None:
    found = resolvconf.parse(f"nameserver {bad}")
    assert found.servers == ()
    assert all(each.isprintable() for each in found.invalid)
    assert len(found.invalid) == 1


def test_the_last_search_or_domain_wins_and_bad_domains_are_left_out() -> None:
    text = "search one two\ndomain three\nsearch four five;rm a/b six"
    assert resolvconf.parse(text).search == ("four", "six")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("ndots:0",)),
        (("rotate",), ("rotate", "ndots:0")),
        (("ndots:2", "rotate"), ("rotate", "ndots:2")),
        (("ndots:-1",), ("ndots:0",)),
        (("ndots:x", "ndots:3", "ndots:4"), ("ndots:4",)),
        (("rotate", "rotate"), ("rotate", "ndots:0")),
    ],
)
def test_C11_ndots_is_added_only_where_no_valid_one_is(
    options: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert resolvconf.with_ndots(options) == expected


def test_R3_a_dot_empties_the_search_list() -> None:
    assert resolvconf.searched((".",)) == ()


def test_the_file_says_where_everything_comes_from() -> None:
    wanted = resolvconf.Wanted(
        servers=(resolvconf.EMBEDDED,),
        search=("corp.example", "example"),
        options=("ndots:0",),
        upstreams=(("10.61.0.9", "--dns"),),
        origins=(("search", "daemon"),),
    )
    lines = resolvconf.render(wanted).splitlines()
    assert lines[1:4] == [
        "nameserver 127.0.0.11",
        "search corp.example example",
        "options ndots:0",
    ]
    assert {"# upstream: 10.61.0.9 (--dns)", "# search: daemon"} <= set(lines)


def test_ndots_is_the_last_one_and_bounded() -> None:
    assert resolvconf.ndots(()) == 1
    assert resolvconf.ndots(("ndots:2", "rotate", "ndots:0")) == 0
    assert resolvconf.ndots(("ndots:99",)) == 15


@pytest.mark.parametrize(("length", "is_told"), [(254, False), (255, True)])
def test_a_search_line_that_musl_does_not_read_is_told_of(length: int, is_told: bool) -> None:
    domains = ("a" * 60 + ".test", "b" * 60 + ".test", "c" * 60 + ".test")
    rest = length - len(f"search {' '.join(domains)} ")
    search = (*domains, "d" * rest)
    text = resolvconf.render(resolvconf.Wanted(servers=(), search=search))
    assert len(text.splitlines()[1]) == length
    assert (f"# the search line has {length} characters, and musl" in text) is is_told
    assert bool(resolvconf.unread(search)) is is_told
