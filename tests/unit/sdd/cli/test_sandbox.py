from pathlib import Path

import pytest

from tests.unit.sdd.cli.typed import Shell


def test_create_with_everything(shell: Shell) -> None:
    for name in ("one", "two"):
        shell.ok("network", "create", name)
    shell.ok("service", "create", "web", "--network", "one")
    made = shell.ok(
        *("sandbox", "create", "c", "--network", "one,alias=a,ip=10.200.0.9", "--network", "two"),
        *("--network-alias", "b", "--service", "web", "--hostname", "h", "--dns", "10.0.0.53"),
        *("--dns-search", ".", "--dns-opt", "ndots:2", "--add-host", "printer:10.0.0.7"),
        *("--add-host", "six:[fd00::7]", "--mac-address", "02:00:00:00:00:01", "--label", "k=v"),
    )
    (box,) = shell.ok("sandbox", "inspect", "c").json()
    assert box["Id"] == made.out.strip()
    assert box["Networks"]["one"]["IPAddress"] == "10.200.0.9"
    assert box["Networks"]["one"]["Aliases"] == ["a", "b"]
    assert box["Networks"]["one"]["MacAddress"] == "02:00:00:00:00:01"
    assert box["Networks"]["two"]["Aliases"] == ["b"]
    assert box["Services"] == ["web"]
    assert box["Hostname"] == "h"
    assert box["Dns"] == {"Servers": ["10.0.0.53"], "Search": ["."], "Options": ["ndots:2"]}
    assert box["ExtraHosts"] == ["printer:10.0.0.7", "six:fd00::7"]
    assert box["Labels"] == {"k": "v"}
    head, row = shell.ok("sandbox", "ls").out.splitlines()
    assert head.split()[:3] == ["SANDBOX", "ID", "NAME"]
    assert "one, two" in row
    assert shell.ok("sandbox", "rm", "c").out == "c\n"


def test_attach_needs_exactly_one_way_in(shell: Shell) -> None:
    assert shell("sandbox", "attach", "c").code == 2
    assert shell("sandbox", "attach", "c", "--pid", "1", "--netns", "/x").code == 2
    shell.ok("sandbox", "attach", "c", "--netns", "/run/netns/x")
    (box,) = shell.ok("sandbox", "inspect", "c").json()
    assert (box["Netns"], box["Origin"]) == ("/run/netns/x", "adopted")


def test_attach_finds_a_file_from_where_the_user_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    shell.ok("sandbox", "attach", "c", "--netns", "./x")
    shell.ok("sandbox", "attach", "d", "--netns", "y")
    places = [box["Netns"] for box in shell.ok("sandbox", "inspect", "c", "d").json()]
    assert places == [str(tmp_path / "x"), str(tmp_path / "y")]


@pytest.mark.parametrize("write", ["auto", "never", "/etc/resolv.conf"])
def test_attach_says_where_resolv_conf_goes(shell: Shell, write: str) -> None:
    shell.ok("sandbox", "attach", "c", "--pid", "1", "--write-resolv-conf", write)
    (box,) = shell.ok("sandbox", "inspect", "c").json()
    assert box["WriteResolvConf"] == write


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("--add-host", "a b:10.0.0.1"), "a b"),
        (("--dns-search", "a\nb"), "control character"),
        (("--network-alias", "a b"), "blank"),
        (("--hostname", "a\tb"), "blank"),
        (("--dns-opt", "ndots:1 rotate"), "blank"),
        (("--add-host", "a:10.0.0"), "10.0.0"),
        (("--add-host", "a"), "HOST:IP"),
        (("--network", "lab,colour=red"), "colour"),
        (("--network", "lab,ip=x"), '"x"'),
        (("--publish", "published=5000, target=80"), "published=5000,target=80"),
        (("--dns", "one"), "one"),
    ],
)
def test_a_wrong_option_is_exit_2(shell: Shell, argv: tuple[str, ...], word: str) -> None:
    done = shell("sandbox", "create", "c", *argv)
    assert (done.code, done.out) == (2, "")
    assert word in done.err


def test_exec_says_when_the_namespace_is_gone(shell: Shell) -> None:
    shell.ok("sandbox", "create", "c")
    done = shell("sandbox", "exec", "c", "--", "true")
    assert done.code == 1
    assert "[SDD-SANDBOX-NONETNS]" in done.err
    assert shell("sandbox", "exec", "nobody", "--", "true").code == 1
    assert shell("sandbox", "exec", "c").code == 2
    assert shell("sandbox", "exec", "c", "--").code == 2


def test_names_that_mean_something_else_to_programs_are_told(shell: Shell) -> None:
    """They are taken, as Docker takes them."""
    shell.ok("network", "create", "lab")
    done = shell.ok("sandbox", "create", "own", "--hostname", "LocalHost")
    assert "nobody finds own by its hostname LocalHost" in done.err
    for alias in ("arpa", "2.0.4.10.in-addr.arpa"):
        done = shell.ok("sandbox", "create", f"c{len(alias)}", "--network", f"lab,alias={alias}")
        assert f"the alias {alias} is in the zone arpa" in done.err
    shell.ok("sandbox", "create", "late")
    done = shell.ok("network", "connect", "lab", "late", "--alias", "x.ip6.arpa")
    assert "the alias x.ip6.arpa is in the zone arpa" in done.err
    assert shell.ok("sandbox", "create", "well", "--hostname", "arpa.example").err == ""


def test_a_name_that_is_anothers_name_on_the_network_is_told_of(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    shell.ok("network", "create", "other")
    assert not shell.ok("sandbox", "create", "web", "--network", "lab").err
    told = "web.lab is also a name of the sandbox web on the network lab: whoever asks for it"
    assert told in shell.ok("sandbox", "create", "Web.Lab", "--network", "lab").err
    assert not shell.ok("sandbox", "create", "web.other", "--network", "lab").err
    shared = ("--network", "other", "--network-alias", "db")
    for name in ("one", "two"):  # who share a name on purpose
        assert not shell.ok("sandbox", "create", name, *shared).err
    assert not shell.ok("network", "connect", "other", "web.other").err
    told = "web.other is also a name of the sandbox web.other on the network other"
    assert told in shell.ok("network", "connect", "other", "web").err
    (row,) = shell.ok("sandbox", "inspect", "web").json()
    assert "web.lab is also a name of the sandbox Web.Lab" in row["Warning"]


def test_names_that_differ_by_capitals_are_told_of(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    shell.ok("sandbox", "create", "b", "--network", "lab")
    told = "DNS cannot tell B and b apart: on the network lab whoever asks for either may get both"
    assert told in shell.ok("sandbox", "create", "B", "--network", "lab").err
    assert not shell.ok("sandbox", "create", "c", "--network", "lab").err


@pytest.mark.parametrize("given", ["six=fd00::7", "six=[fd00::7]", "six:[fd00::7]"])
def test_an_added_host_has_either_of_dockers_forms(shell: Shell, given: str) -> None:
    shell.ok("sandbox", "create", "c", "--add-host", given)
    (shown,) = shell.ok("sandbox", "inspect", "c").json()
    assert "fd00::7" in str(shown["ExtraHosts"])


def test_dns_options_that_nobody_heeds_are_warned_of(shell: Shell) -> None:
    twice = shell.ok("sandbox", "create", "two", "--dns-opt", "ndots:1", "--dns-opt", "ndots:2").err
    assert "of several --dns-opt ndots the last one counts" in twice
    options = ("ndots:-1", "nodts:1", "rotate", "timeout:2", "attempts")
    given = [text for each in options for text in ("--dns-opt", each)]
    made = shell.ok("sandbox", "create", "odd", *given)
    assert "take no note of --dns-opt ndots:-1, nodts:1, attempts:" in made.err
    (shown,) = shell.ok("sandbox", "inspect", "odd").json()
    assert "ndots:-1" in shown["Warning"]
    assert not shell.ok("sandbox", "create", "well", "--dns-opt", "ndots:2").err


def test_search_lists_that_musl_takes_no_note_of_are_warned_of(shell: Shell) -> None:
    long = [f"dom{number}.some.long.example.com" for number in range(12)]
    one, two = (
        [text for each in half for text in ("--dns-search", each)] for half in (long[:6], long[6:])
    )
    told = "musl (Alpine) takes no note of one that has more than 254"
    assert told in shell.ok("network", "create", "both", *one, *two).err
    for name, half in (("aside", one), ("beside", two)):
        assert not shell.ok("network", "create", name, *half).err
    assert not shell.ok("sandbox", "create", "web", "--network", "aside").err
    assert told in shell.ok("network", "connect", "beside", "web").err
    assert (
        told in shell.ok("sandbox", "create", "db", "--network", "aside", "--network", "beside").err
    )
    more = [text for each in long[6:] for text in ("--dns-search-add", each)]
    assert told in shell.ok("network", "update", "aside", *more).err
    (shown,) = shell.ok("sandbox", "inspect", "db").json()
    assert told in shown["Warning"]
