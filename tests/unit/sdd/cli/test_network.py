import json

import pytest

from sdd.cli import pools
from tests.unit.sdd.cli.typed import Shell


def test_create_prints_the_full_id_and_ls_the_fixed_columns(shell: Shell) -> None:
    made = shell.ok("network", "create", "lab", "--subnet", "10.1.0.0/24").out
    assert len(made.strip()) == 64
    head, row = shell.ok("network", "ls").out.splitlines()
    assert [word.strip() for word in head.split("   ") if word.strip()] == [
        "NETWORK ID",
        "NAME",
        "DRIVER",
        "SCOPE",
    ]
    assert row.split() == [made[:12], "lab", "bridge", "local"]


def test_forms_of_output(shell: Shell) -> None:
    full = shell.ok("network", "create", "lab").out.strip()
    assert shell.ok("network", "ls", "-q").out == f"{full[:12]}\n"
    assert shell.ok("-q", "network", "ls").out == f"{full[:12]}\n"
    assert shell.ok("network", "-q", "ls").out == f"{full[:12]}\n"
    assert shell.ok("network", "ls", "-o", "name").out == "lab\n"
    assert shell.ok("network", "ls", "-o", "json").json()[0]["Id"] == full
    lines = shell.ok("network", "ls", "--format", "json").out.splitlines()
    assert [json.loads(each)["Id"] for each in lines] == [full]
    assert shell.ok("network", "inspect", "--format", "json", full).json()[0]["Id"] == full
    assert json.loads(shell.ok("-o", "jsonl", "network", "ls").out)["Name"] == "lab"
    template = "{{.Name}}\\t{{.IPAM.Driver}} {{json .Labels}}"
    assert shell.ok("network", "ls", "--format", template).out == "lab\tdefault {}\n"
    table = "table {{.ID}}\\t{{.Name}}\\t{{len .Containers}}"
    assert [
        line.split() for line in shell.ok("network", "ls", "--format", table).out.splitlines()
    ] == [
        ["ID", "NAME", "CONTAINERS"],
        [full[:12], "lab", "0"],
    ]
    assert shell("network", "ls", "-o", "xml").code == 2
    assert shell("network", "ls", "--format", "{{.Nope}}").code == 2
    assert shell("network", "ls", "--format", "{{range .}}").code == 2


def test_ids_are_shown_whole_when_asked(shell: Shell) -> None:
    full = shell.ok("network", "create", "lab").out.strip()
    assert shell.ok("network", "ls", "--no-trunc").out.splitlines()[1].split()[0] == full
    assert shell.ok("network", "ls", "-q", "--no-trunc").out == f"{full}\n"
    assert shell.ok("network", "ls", "--format", "{{.ID}}").out == f"{full[:12]}\n"
    assert shell.ok("network", "ls", "--no-trunc", "--format", "{{.ID}}").out == f"{full}\n"
    box = shell.ok("sandbox", "create", "web", "--network", "lab").out.strip()
    assert shell.ok("sandbox", "ls", "--no-trunc").out.splitlines()[1].split()[0] == box
    service = shell.ok("service", "create", "shop", "--network", "lab").out.strip()
    assert shell.ok("service", "ls", "--no-trunc").out.splitlines()[1].split()[0] == service
    shell.ok("service", "join", "shop", "web")
    assert len(shell.ok("service", "ps", "--no-trunc", "shop").out.splitlines()[1].split()[0]) == 64


def test_inspect_has_dockers_letters(shell: Shell) -> None:
    full = shell.ok("network", "create", "lab", "--subnet", "10.1.0.0/24").out.strip()
    template = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
    assert shell.ok("network", "inspect", "-f", template, "lab").out == "10.1.0.0/24\n"
    assert shell.ok("network", "inspect", "lab", "-f", "{{.Id}}").out == f"{full}\n"
    assert shell.ok("network", "inspect", "-f", "json", "lab").json()[0]["Id"] == full
    shell.ok("sandbox", "create", "web", "--network", "lab")
    assert shell.ok("sandbox", "inspect", "web", "-f", "{{.Name}}").out == "web\n"
    shell.ok("service", "create", "shop", "--network", "lab")
    shell.ok("service", "join", "shop", "web")
    assert shell.ok("service", "inspect", "shop", "-f", "{{len .Members}}").out == "1\n"
    assert shell.ok("network", "inspect", "lab").json()[0]["Services"] == ["shop"]
    (seen,) = shell.ok("network", "inspect", "-v", "lab").json()
    shop = seen["Services"]["shop"]
    (told,) = shell.ok("service", "inspect", "shop").json()
    assert (shop["VIP"], shop["Ports"]) == (told["VIPs"][0], told["Ports"])
    (task,) = shop["Tasks"]
    assert (task["Name"], task["Info"]["Node"] != "") == ("web", True)
    assert (
        shell.ok("network", "inspect", "--verbose", "lab", "-f", "{{len .Services}}").out == "1\n"
    )


@pytest.mark.parametrize("noun", ["network", "sandbox", "service"])
@pytest.mark.parametrize("verb", ["inspect", "rm"])
def test_an_empty_name_is_no_path(shell: Shell, noun: str, verb: str) -> None:
    done = shell(noun, verb, "")
    assert (done.code, "an empty name means nothing" in done.err) == (2, True)
    assert "/v1" not in done.out + done.err


def test_inspect_prints_what_it_found_and_fails_for_the_rest(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    done = shell("network", "inspect", "lab", "nope", "neither")
    assert done.code == 1
    assert [each["Name"] for each in done.json()] == ["lab"]
    assert done.err.count("[SDD-NET-NOTFOUND]") == 2
    done = shell("network", "inspect", "nope")
    assert (done.code, done.out) == (1, "")


def test_every_option_of_create_reaches_the_daemon(shell: Shell) -> None:
    shell.ok(
        *("network", "create", "lab", "-d", "bridge", "--internal", "--label", "a=b"),
        *("--subnet", "10.1.0.0/24", "--gateway", "10.1.0.254", "--ip-range", "10.1.0.128/25"),
        *("--aux-address", "printer=10.1.0.9", "-o", "com.docker.network.driver.mtu=1400"),
        *("--dns", "10.1.0.53", "--dns-search", "corp.example"),
        *("--dns-forward-zone", "corp.local=tls://10.1.0.54", "--dns-forward-zone", "lab=fd00::1"),
    )
    (seen,) = shell.ok("network", "inspect", "lab").json()
    assert seen["IPAM"]["Config"] == [
        {
            "Subnet": "10.1.0.0/24",
            "IPRange": "10.1.0.128/25",
            "Gateway": "10.1.0.254",
            "AuxiliaryAddresses": {"printer": "10.1.0.9"},
        }
    ]
    assert seen["Internal"] is True
    assert seen["Labels"] == {"a": "b"}
    assert seen["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert seen["Dns"] == {
        "Servers": ["10.1.0.53"],
        "Search": ["corp.example"],
        "ForwardZones": ["corp.local=tls://10.1.0.54", "lab=fd00::1"],
    }


def test_ignore_makes_create_repeatable(shell: Shell) -> None:
    first = shell.ok("network", "create", "lab").out
    done = shell("network", "create", "lab")
    assert done.code == 1
    assert "already exists" in done.err
    assert shell.ok("network", "create", "lab", "--ignore").out == first


def test_rm_and_exists(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    assert shell("network", "exists", "lab").code == 0
    assert shell.ok("network", "rm", "lab").out == "lab\n"
    assert shell("network", "exists", "lab").code == 1
    assert shell("network", "rm", "lab").code == 1
    assert shell("network", "rm", "-f", "lab").code == 0


def test_connect_and_disconnect(shell: Shell) -> None:
    for name in ("one", "two"):
        shell.ok("network", "create", name)
    shell.ok("sandbox", "create", "c", "--network", "one")
    done = shell.ok("network", "connect", "two", "c", "--ip", "10.201.0.9", "--alias", "x")
    assert done.out == ""
    (box,) = shell.ok("sandbox", "inspect", "c").json()
    assert box["Networks"]["two"]["IPAddress"] == "10.201.0.9"
    assert box["Networks"]["two"]["Aliases"] == ["x"]
    shell.ok("network", "disconnect", "two", "c")
    assert shell("network", "disconnect", "two", "c").code == 1
    assert shell("network", "disconnect", "-f", "two", "c").code == 0


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("create", "n", "--subnet", "10.0.0.0/33"), "10.0.0.0/33"),
        (("create", "n", "--subnet", "10.0.0.0"), "10.0.0.0/24"),
        (("create", "n", "--gateway", "10.0.0"), "10.0.0"),
        (("create", "n", "--aux-address", "10.0.0.1"), "KEY=VALUE"),
        (("create", "n", "--aux-address", "a=b"), '"b" is not an IP address'),
        (("create", "n", "--aux-address", "a=fd00::9%eth0"), "leave it out: fd00::9"),
        (("create", "n", "--gateway", "fd36::1%eth0"), "leave it out: fd36::1"),
        (("create", "n", "--subnet", "fd37::%1/64"), "leave out what follows it: fd37::/64"),
        (("create", "n", "--dns", "fe80::1%eth9"), "never in the sandbox"),
        (("create", "n", "-o", "mtu"), "KEY=VALUE"),
        (
            ("create", "n", "--aux-address", "a=10.1.0.3", "--aux-address", "a=10.1.0.4"),
            '"a" is 10.1.0.3 already',
        ),
        (
            ("create", "n", "--subnet", "10.1.0.0/24", "--gateway=10.1.0.2", "--gateway=10.1.0.3"),
            "the subnet 10.1.0.0/24 has 10.1.0.2 already",
        ),
        (("create", "n", "-d", "vxlan9"), "vxlan9"),
        (("create",), "NAME"),
        (("creat", "n"), "create"),
        (("create", "n", "--ipv6=maybe"), "true or false"),
        (("create", "n", "--ipam-opt", "com.docker.network.ipam.serial=x"), "true or false"),
        (("connect", "n", "s", "--ip", "fd00:41::9"), "--ip6"),
        (("connect", "n", "s", "--ip6", "10.0.0.9"), "--ip"),
        (("update", "n"), "--dns-add"),
        (("ls", "--timeout", "5"), '"5" is not a duration'),
    ],
)
def test_a_wrong_command_line_is_exit_2(shell: Shell, argv: tuple[str, ...], word: str) -> None:
    done = shell("network", *argv)
    assert (done.code, done.out) == (2, "")
    assert word in done.err
    assert "[SDD-USAGE]" in done.err
    assert len(done.err.splitlines()) <= 3


def test_a_subnet_with_host_bits_is_told_the_right_form(shell: Shell) -> None:
    done = shell("network", "create", "n", "--subnet", "10.81.0.1/24")
    assert done.code == 1
    assert "10.81.0.0/24" in done.err


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("create", "n", "--scope", "swarm"), "one host"),
        (("create", "n", "--ipam-driver", "dhcp"), "no IPAM driver 'dhcp'"),
        (("create", "n", "--ipam-opt", "a=b"), "no IPAM option 'a'"),
        (("create", "n", "--ipam-opt", "com.docker.network.ipam.serial=false"), "--ip"),
        (("create", "n", "--ingress"), "mode=ingress"),
        (("connect", "n", "s", "--link", "db:database"), "--alias"),
    ],
)
def test_options_of_dockers_that_cannot_be_say_what_to_do(
    shell: Shell, argv: tuple[str, ...], word: str
) -> None:
    done = shell("network", *argv)
    assert (done.code, done.out) == (1, "")
    assert word in done.err
    assert "[SDD-NET-OPTION]" in done.err
    assert shell("network", "exists", "n").code == 1


def test_options_of_dockers_that_say_what_is_so_anyway_are_taken(shell: Shell) -> None:
    shell.ok(
        *("network", "create", "n", "--scope", "local", "--ipam-driver", "default"),
        *("--ipam-opt", "com.docker.network.ipam.serial=true", "--ingress=false"),
        *("--internal=true", "--attachable=false", "--ipv4"),
    )
    (seen,) = shell.ok("network", "inspect", "n").json()
    assert (seen["Internal"], seen["Attachable"]) == (True, False)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ((), (None, False)),
        (("--ipv4",), (True, False)),
        (("--ipv4=false", "--ipv6"), (False, True)),
        (("--ipv4=0", "--ipv6=1"), (False, True)),
        (("--no-ipv4", "--ipv6=true"), (False, True)),
        (("--ipv4=true", "--ipv6=false"), (True, False)),
    ],
)
def test_flags_of_ip_versions_reach_the_daemon(
    shell: Shell, written: tuple[str, ...], asked: tuple[bool | None, bool]
) -> None:
    shell.ok("network", "create", *written, "n")
    seen = shell.appliance.desk.asked
    assert seen is not None
    assert (seen.ipv4, seen.ipv6) == asked


def test_ignore_tells_what_is_other_than_asked(shell: Shell) -> None:
    first = shell.ok("network", "create", "lab", "--subnet", "10.1.0.0/24").out
    assert shell.ok("network", "create", "lab", "--ignore", "--subnet", "10.1.0.0/24").err == ""
    done = shell.ok(
        *("network", "create", "lab", "--ignore", "-d", "macvlan", "--subnet", "10.2.0.0/24"),
        *("--internal", "-o", "parent=eth0"),
    )
    assert done.out == first
    assert done.err == (
        "network lab is kept as it is: other driver, subnet, kind (internal), options\n"
    )


def test_what_belongs_to_a_subnet_finds_it() -> None:
    made = pools.asked_for(
        ("10.1.0.0/24", "fd00::/64"), ("fd00::1", "10.1.0.1"), ("10.1.0.0/25",), (("p", "fd00::9"),)
    )
    assert made == [
        {"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "ip_range": "10.1.0.0/25"},
        {"subnet": "fd00::/64", "gateway": "fd00::1", "aux": {"p": "fd00::9"}},
    ]


def test_what_lies_in_no_subnet_goes_to_its_family_or_alone() -> None:
    assert pools.asked_for(("10.1.0.0/24",), ("10.9.0.1",), (), ()) == [
        {"subnet": "10.1.0.0/24", "gateway": "10.9.0.1"}
    ]
    assert pools.asked_for((), ("10.9.0.1",), (), ()) == [{"gateway": "10.9.0.1"}]
    assert pools.asked_for(("10.1.0.0/24",), ("10.1.0.1", "10.9.0.1"), (), ()) == [
        {"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"},
        {"gateway": "10.9.0.1"},
    ]
    assert pools.asked_for(("10.1.0.0/24",), (), (), (("p", "fd00::9"),)) == [
        {"subnet": "10.1.0.0/24"},
        {"aux": {"p": "fd00::9"}},
    ]


def test_update_changes_the_dns_settings(shell: Shell) -> None:
    shell.ok("network", "create", "lab", "--dns", "10.0.0.53")
    changed = shell.ok(
        *("network", "update", "lab", "--dns-add", "10.0.0.54", "--dns-rm", "10.0.0.53"),
        *("--dns-search-add", "corp.example", "--dns-forward-zone-add", "corp.local=10.0.0.54"),
    )
    assert changed.out == "lab\n"
    (seen,) = shell.ok("network", "inspect", "lab").json()
    assert seen["Dns"] == {
        "Servers": ["10.0.0.54"],
        "Search": ["corp.example"],
        "ForwardZones": ["corp.local=10.0.0.54"],
    }


@pytest.mark.parametrize("given", ["corp.local", "=10.0.0.1", "corp.local=", "corp.local=x"])
def test_a_forward_zone_that_is_none_says_how_one_is_written(shell: Shell, given: str) -> None:
    failed = shell("network", "create", "lab", "--dns-forward-zone", given)
    assert failed.code == 2
    assert "corp.local=10.1.0.53" in failed.err or "is no name server" in failed.err


def test_a_forward_zone_goes_with_all_its_servers(shell: Shell) -> None:
    zones = ("corp.local=10.1.0.53", "corp.local=10.1.0.54", "lab.test=10.1.0.55")
    options = [text for zone in zones for text in ("--dns-forward-zone", zone)]
    shell.ok("network", "create", "n", *options)
    shell.ok("network", "update", "n", "--dns-forward-zone-rm", "Corp.local.")
    (shown,) = shell.ok("network", "inspect", "n").json()
    assert shown["Dns"]["ForwardZones"] == ["lab.test=10.1.0.55"]
    failed = shell("network", "update", "n", "--dns-forward-zone-rm", "corp.local")
    assert failed.code == 1
    assert "network n has no forward zone corp.local" in failed.err
    assert "lab.test=10.1.0.55" in failed.err
    assert shell("network", "update", "n", "--dns-forward-zone-add", "corp.local").code == 2


def test_an_update_tells_of_a_zone_that_is_the_networks_own(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    done = shell.ok("network", "update", "lab", "--dns-forward-zone-add", "lab=10.0.0.9")
    assert "--dns-forward-zone lab has no effect" in done.err
    assert done.out == "lab\n"
