import json
import os
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import config, errors, keys
from sdd.alloc import names
from sdd.alloc.pools import PoolTemplate
from sdd.model import nameserver
from sdd.options import Options
from tests import support

WHERE = Path("/etc/sdd/daemon.json")


def built(file: dict[str, Any], **flags: Any) -> config.Config:
    given = {key.replace("_", "-"): value for key, value in flags.items()}
    return config.build(given, file, WHERE)


def load(path: Path, **flags: Any) -> config.Config:
    return config.load(Options(config=path, settings=flags))


def test_nothing_set_gives_the_defaults() -> None:
    found = built({})
    assert found == config.Config(hosts=("unix:///run/sdd/sdd.sock",))
    assert found.metrics_addr == keys.MetricsAddress(host="127.0.0.1", port=9653)
    assert found.log_level == "info"


def test_the_socket_follows_the_exec_root() -> None:
    assert built({"exec-root": "/x"}).hosts == ("unix:///x/sdd.sock",)
    assert built({}, exec_root="/y").hosts == ("unix:///y/sdd.sock",)
    assert built({"exec-root": "/x"}, hosts=["unix:///z"]).hosts == ("unix:///z",)


def test_every_key_is_taken() -> None:
    found = built(
        {
            "data-root": "/d",
            "exec-root": "/e",
            "hosts": ["unix:///h", "fd://"],
            "dns": ["10.0.0.53", "fd00::53"],
            "dns-search": ["corp.example"],
            "dns-forward-zones": ["Corp.Local.", "10.in-addr.arpa"],
            "dns-opts": ["ndots:2"],
            "dns-ttl": 30,
            "dns-bind": "nat",
            "default-address-pools": [{"base": "10.64.0.0/12", "size": 24}],
            "bip": "172.17.0.1/16",
            "mtu": 1400,
            "metrics-addr": "[::1]:9000",
            "store": "sqlite",
            "node-name": "n1",
            "lb-backend": "nftables",
            "debug": True,
            "log-format": "json",
            "log-driver": "stderr",
            "log-opts": {},
            "advertise-addr": "eth0",
            "labels": ["rack=4"],
            "shutdown-timeout": 3,
        }
    )
    assert found == config.Config(
        data_root=Path("/d"),
        exec_root=Path("/e"),
        hosts=("unix:///h", "fd://"),
        dns=(nameserver.parse("10.0.0.53"), nameserver.parse("fd00::53")),
        dns_search=("corp.example",),
        dns_forward_zones=("corp.local", "10.in-addr.arpa"),
        dns_opts=("ndots:2",),
        dns_ttl=30,
        pools=(PoolTemplate(base=IPv4Network("10.64.0.0/12"), size=24),),
        bip=IPv4Interface("172.17.0.1/16"),
        mtu=1400,
        metrics_addr=keys.MetricsAddress(host="::1", port=9000),
        node_name="n1",
        lb_backend="nftables",
        debug=True,
        log_level="debug",
        log_format="json",
        advertise_addr="eth0",
        labels=("rack=4",),
        shutdown_timeout=3,
    )


def test_metrics_can_be_off() -> None:
    assert built({"metrics-addr": "off"}).metrics_addr is None


BAD_VALUES: Sequence[tuple[str, object, str]] = (
    ("debug", 1, "true or false"),
    ("debug", "true", "true or false"),
    ("debug", None, "not null"),
    ("mtu", True, "not true"),
    ("mtu", 1.5, "not 1.5"),
    ("mtu", 65536, "68 to 65535"),
    ("mtu", -1, "68 to 65535"),
    ("mtu", 67, "68 to 65535"),
    ("mtu", 10**400, "… (401 characters)"),
    ("dns-ttl", False, "not false"),
    ("dns-ttl", 86401, "86400"),
    ("log-level", "loud", "debug, info, warn"),
    ("log-level", ["info"], "debug, info, warn"),
    ("log-format", ["json"], "text or json"),
    ("data-root", "relative", "the path is relative"),
    ("data-root", "", "it is empty"),
    ("data-root", "   ", "it is empty"),
    ("data-root", "/a\nb", "cannot be printed"),
    ("data-root", "/a ", "blanks around"),
    ("data-root", "/a\ud800", "cannot be printed"),
    ("data-root", "/run/sdd", '"exec-root" are both /run/sdd'),
    ("exec-root", "/" + "e" * 100, "holds no socket: the path has 110 bytes"),
    ("hosts", "unix:///x", "a list of unix:///PATH"),
    ("hosts", [], "nobody could talk to the daemon"),
    ("hosts", ["tcp://0.0.0.0:1"], "at [0] (it does not start with unix:///)"),
    ("hosts", ["fd://", "unix://x"], "at [1] (it does not start with unix:///)"),
    ("hosts", ["unix:///"], "names a directory"),
    ("hosts", ["unix:///run/x/"], "names a directory"),
    ("hosts", ["unix:///run/../x"], "empty step"),
    ("hosts", ["unix:////x"], "empty step"),
    ("hosts", ["unix:///" + "x" * 107], "the path has 108 bytes, a socket's has at most 107"),
    ("hosts", ["unix:///x", "unix:///x"], "stands at [0] already"),
    ("hosts", ["fd://", "fd://"], "at [1]"),
    ("dns", ["one.one.one.one"], '"one.one.one.one" at [0]'),
    ("dns", ["10.0.0.1", "224.0.0.251"], "at [1] (that is the address of many)"),
    ("dns", ["127.0.0.11"], "the server that every sandbox has"),
    ("dns", "10.0.0.1", "a list of addresses"),
    ("dns", ["::"], "unspecified"),
    ("dns-search", [1], "not 1 at [0]"),
    ("dns-search", ["ok.example", "a b"], "at [1] (search domain 'a b' is not a valid host name"),
    (
        "dns-forward-zones",
        ["corp.local", "a.onion"],
        "at [1] (domain 'a.onion' cannot be forwarded",
    ),
    ("dns-search", ["x..y"], "is not a valid host name"),
    ("dns-opts", ["ndots:2", "ndots 2"], "at [1] (DNS option 'ndots 2' is not a word"),
    ("dns-opts", [""], "at [0] (it is empty)"),
    ("bip", "172.17.0.0/16", "that is the network's"),
    ("bip", "172.17.0.1/31", "an IPv4 address with"),
    ("bip", "127.0.0.1/8", "holds loopback addresses"),
    ("bip", "fd00::1/64", "an IPv4 address with"),
    ("metrics-addr", "9653", "IP:PORT"),
    ("metrics-addr", "localhost:9653", "IP:PORT"),
    ("metrics-addr", "127.0.0.1:70000", "IP:PORT"),
    ("metrics-addr", "::1:9653", "in brackets"),
    ("metrics-addr", "[127.0.0.1]:9653", "in brackets"),
    ("metrics-addr", "224.0.0.1:9653", "multicast"),
    ("metrics-addr", None, "not null"),
    ("store", "etcd://10.0.0.1:2379", "not built yet"),
    ("node-name", "", "it is empty"),
    ("node-name", "a b", "'a b' is not a valid host name"),
    ("node-name", 7, "a host name, not 7"),
    ("log-driver", "journald", "not built yet"),
    ("log-opts", {"max-size": "10m"}, "not {"),
    ("log-opts", [], "not []"),
    ("advertise-addr", {}, "an IP address or the name of an interface, not {}"),
    ("advertise-addr", "", "it is empty"),
    ("advertise-addr", "10.0.0.1/24", "an IP address or the name of an interface"),
    ("advertise-addr", "fe80::1%eth0", "leave it out: fe80::1"),
    ("advertise-addr", "0.0.0.0", "other hosts cannot reach"),
    ("advertise-addr", "::1", "other hosts cannot reach"),
    ("advertise-addr", "an-interface-too-long", "the name of an interface"),
    ("lb-backend", "haproxy", "auto, ipvs or nftables"),
    ("labels", ["=v"], "KEY=VALUE"),
    ("labels", ["rack"], 'not "rack" at [0]'),
    ("labels", ["a b=1"], "'a b' is empty or holds a blank"),
    ("labels", ["a=1", "b=2", "a=3"], "at [2] (a stands at [0] already)"),
    ("labels", {"a": "1"}, "a list of KEY=VALUE"),
    ("shutdown-timeout", -1, "0 to 3600"),
    ("shutdown-timeout", 1e3, "0 to 3600"),
)


@pytest.mark.parametrize(("key", "value", "words"), BAD_VALUES)
def test_a_wrong_value_is_named(key: str, value: object, words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({key: value})
    assert caught.value.code == "SDD-CONFIG-VALUE"
    assert f'"{key}"' in caught.value.sentence
    assert words in caught.value.sentence
    assert len(caught.value.sentence) < 400
    assert caught.value.sentence.isprintable()


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        ([{"base": "10.0.0.1/8", "size": 24}], "at [0] (10.0.0.1/8 is an address of the subnet"),
        ([{"base": "10.0.0.0/24", "size": 16}], '"size" is a prefix length from 24 to 30 here'),
        ([{"base": "10.0.0.0/8", "size": True}], '"size" is a prefix length'),
        ([{"base": "10.0.0.0/8", "size": "24"}], '"size" is a prefix length'),
        ([{"base": "10.0.0.0/8"}], "at [0]"),
        ([{"base": "10.0.0.0/8", "size": 24, "x": 1}], "at [0]"),
        ([{"base": "10.0.0.0/8", "size": 31}], "the smallest is a /30"),
        ([{"base": "10.0.0.0/8", "size": 32}], "the smallest is a /30"),
        ([{"base": "fd00::/48", "size": 128}], "the smallest is a /126"),
        ([{"base": "127.0.0.0/8", "size": 24}], "127.0.0.0/8 holds loopback addresses"),
        ([{"base": "224.0.0.0/8", "size": 24}], "multicast"),
        ([{"base": "169.254.0.0/16", "size": 24}], "link-local"),
        ([{"base": "0.0.0.0/8", "size": 24}], "this network"),
        ([{"base": "240.0.0.0/8", "size": 24}], "class E"),
        ([{"base": "fe80::/10", "size": 64}], "link-local"),
        ([{"base": "0.0.0.0/0", "size": 24}], "this network"),
        (
            [{"base": "10.0.0.0/8", "size": 24}, {"base": "10.9.0.0/16", "size": 24}],
            '{"base": "10.9.0.0/16", "size": 24} at [1] (it overlaps with 10.0.0.0/8 at [0])',
        ),
        ([{"base": "10.0.0.0/8", "size": 24}] * 2, "at [1] (it overlaps with 10.0.0.0/8 at [0])"),
        ([{"base": "10.0.0.0/8", "size": 24}, 7], "not 7 at [1]"),
        ([None], "not null at [0]"),
        ({"base": "10.0.0.0/8", "size": 24}, "a list of"),
    ],
)
def test_pools_that_give_no_network_are_named_by_their_place(pools: object, words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({"default-address-pools": pools})
    assert caught.value.code == "SDD-CONFIG-VALUE"
    assert words in caught.value.sentence


def test_a_level_beside_debug_is_refused() -> None:
    for file, flags in (
        ({"debug": True, "log-level": "warn"}, {}),
        ({"log-level": "warn"}, {"debug": True}),
        ({"debug": True}, {"log_level": "warn"}),
    ):
        with pytest.raises(errors.Invalid) as caught:
            built(file, **flags)
        assert '"debug"' in caught.value.sentence
        assert '"log-level" is "warn"' in caught.value.sentence
    assert built({"debug": True, "log-level": "debug"}).log_level == "debug"
    assert built({"debug": False, "log-level": "warn"}).log_level == "warn"


def test_what_is_given_elsewhere_too_is_refused_by_the_same_rule() -> None:
    for word in ("", "a b", "-x", "x-", "a..b", ".", "corp.example.", "ü", "x" * 64):
        refused: list[bool] = []
        for take in (names.checked_search, lambda each: built({"dns-search": [each]})):
            try:
                take(word)
                refused.append(False)
            except errors.Invalid:
                refused.append(True)
        assert refused[0] == refused[1], word


def test_an_unknown_key_is_named_with_its_neighbour() -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({"log-levle": "info"})
    assert caught.value.code == "SDD-CONFIG-KEY"
    assert '"log-levle"' in caught.value.sentence
    assert "log-level" in caught.value.hint
    with pytest.raises(errors.Invalid) as caught:
        built({"LOG_LEVEL": "info"})
    assert '"log-level"' in caught.value.hint
    with pytest.raises(errors.Invalid) as caught:
        built({"\ud800" * 500: 1})
    assert caught.value.sentence.isprintable()
    assert len(caught.value.sentence) < 200


def test_a_setting_given_twice_is_named() -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({"log-level": "info"}, log_level="debug")
    assert caught.value.code == "SDD-CONFIG-TWICE"
    assert '"log-level"' in caught.value.sentence


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "7", "", " ", '{"mtu": 1, "mtu": 2}', "[" * 100000, '{"a": 1} x', "\ufeff{}"),
        *('{"mtu": NaN}', '{"mtu": -Infinity}', '{"mtu": ' + "9" * 5000 + "}", "null", '"x"'),
        '{"log-opts": {"a": 1, "a": 2}}',
    ],
)
def test_a_file_that_is_no_json_object(text: str, tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    if not text:
        assert load(path).log_level == "info"
        return
    with pytest.raises(errors.Invalid) as caught:
        load(path)
    assert caught.value.code == "SDD-CONFIG-JSON"
    assert str(path) in caught.value.sentence


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, Path("/dev/zero")):
        with pytest.raises(errors.Invalid) as caught:
            load(path)
        assert caught.value.code == "SDD-CONFIG-FILE"
    asked = Options(config=tmp_path / "pipe", settings={})
    with pytest.raises(errors.Invalid, match="cannot be read: it is no plain file"):
        support.at_once(lambda: config.load(asked, again=True))
    latin = tmp_path / "latin"
    latin.write_bytes(b'{"node-name": "\xe9"}')
    with pytest.raises(errors.Invalid, match="not UTF-8"):
        load(latin)
    big = tmp_path / "big"
    big.write_text(" " * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(errors.Invalid, match="larger"):
        load(big)
    marked = tmp_path / "marked"
    marked.write_bytes(b"\xef\xbb\xbf{}")
    with pytest.raises(errors.Invalid, match="byte order mark"):
        load(marked)


def test_a_pipe_that_is_named_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as written:
        written.write('{"mtu": 1400}')
        written.close()
        assert load(Path(f"/dev/fd/{reading}")).mtu == 1400


def test_a_reload_tells_what_takes_effect_and_what_needs_a_restart() -> None:
    old = built({})
    new = replace(
        old,
        log_level="debug",
        debug=True,
        mtu=1400,
        pools=(PoolTemplate(base=IPv4Network("10.0.0.0/8"), size=24),),
    )
    now, later = config.changed(old, new)
    assert set(now) == {"debug", "log-level"}
    assert set(later) == {"mtu", "default-address-pools"}
    assert config.changed(old, old) == ((), ())


def test_reloads_are_compared_with_what_is_in_force() -> None:
    running = config.InForce(built({"labels": ["rack=4"]}))
    new = built({"labels": ["rack=5"], "mtu": 1400})
    assert running.take(new) == (("labels",), ("mtu",))
    assert running.labels() == ("rack=5",)
    assert running.config.mtu == 0
    assert running.take(new) == ((), ("mtu",))
    assert running.take(built({})) == (("labels",), ())
    assert running.labels() == ()


def test_settings_of_names_take_effect_at_a_reload_and_whoever_follows_them_is_told() -> None:
    running = config.InForce(built({"dns-ttl": 7}))
    seen: list[int] = []
    running.subscribe(lambda: seen.append(running.config.dns_ttl))
    given: dict[str, object] = {
        "dns": ["192.0.2.53"],
        "dns-ca": "/ca.pem",
        "dns-search": ["shop"],
        "dns-opts": ["ndots:2"],
        "dns-ttl": 3,
        "dns-rate-limit": 0,
        "dns-forward-zones": ["corp.local"],
        "dns-bind": "direct",
    }
    assert given.keys() == {each for each in keys.KEYS if each.startswith("dns")}
    now, later = running.take(built(given | {"bip": "172.20.0.1/16"}))
    assert (sorted(now), later) == (sorted(given), ("bip",))
    assert seen == [3]
    assert running.config == built(given)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(keys.KEYS)) | st.text(max_size=9), JSON, max_size=4))
def test_any_object_gives_a_config_or_the_one_error(file: dict[str, Any]) -> None:
    code = "SDD-CONFIG-"
    try:
        built(json.loads(json.dumps(file)))
    except errors.Invalid as error:
        code = error.code
    assert code.startswith("SDD-CONFIG-")
