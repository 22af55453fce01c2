import json
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import config, errors
from sdd.model import nameserver
from sdd.options import Options

WHERE = Path("/etc/sdd/daemon.json")


def built(file: dict[str, Any], **flags: Any) -> config.Config:
    given = {key.replace("_", "-"): value for key, value in flags.items()}
    return config.build(given, file, WHERE, "host7")


def load(path: Path, **flags: Any) -> config.Config:
    return config.load(Options(config=path, settings=flags))


def test_nothing_set_gives_the_defaults() -> None:
    found = built({})
    assert found == config.Config(node_name="host7", hosts=("unix:///run/sdd/sdd.sock",))
    assert found.metrics_addr == config.MetricsAddress(host="127.0.0.1", port=9653)
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
        dns_opts=("ndots:2",),
        dns_ttl=30,
        pools=(config.PoolSetting(base=IPv4Network("10.64.0.0/12"), size=24),),
        bip=IPv4Interface("172.17.0.1/16"),
        mtu=1400,
        metrics_addr=config.MetricsAddress(host="::1", port=9000),
        node_name="n1",
        lb_backend="nftables",
        debug=True,
        log_level="debug",
        log_format="json",
        labels=("rack=4",),
        shutdown_timeout=3,
    )


def test_metrics_can_be_off() -> None:
    assert built({"metrics-addr": "off"}).metrics_addr is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("debug", 1),
        ("debug", "true"),
        ("mtu", True),
        ("mtu", 1.5),
        ("mtu", 65536),
        ("mtu", -1),
        ("log-level", "loud"),
        ("log-format", ["json"]),
        ("data-root", "relative"),
        ("data-root", ""),
        ("data-root", "/a\nb"),
        ("hosts", "unix:///x"),
        ("hosts", ["tcp://0.0.0.0:1"]),
        ("dns", ["one.one.one.one"]),
        ("dns", "10.0.0.1"),
        ("dns-search", [1]),
        ("default-address-pools", [{"base": "10.0.0.1/8", "size": 24}]),
        ("default-address-pools", [{"base": "10.0.0.0/24", "size": 16}]),
        ("default-address-pools", [{"base": "10.0.0.0/8"}]),
        ("default-address-pools", [{"base": "10.0.0.0/8", "size": 24, "x": 1}]),
        ("bip", "172.17.0.0/16"),
        ("bip", "172.17.0.1/31"),
        ("bip", "fd00::1/64"),
        ("metrics-addr", "9653"),
        ("metrics-addr", "localhost:9653"),
        ("metrics-addr", "127.0.0.1:70000"),
        ("metrics-addr", None),
        ("store", "etcd://10.0.0.1:2379"),
        ("log-driver", "journald"),
        ("log-opts", {"max-size": "10m"}),
        ("advertise-addr", "10.0.0.1"),
        ("lb-backend", "haproxy"),
        ("labels", ["=v"]),
        ("shutdown-timeout", -1),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object) -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({key: value})
    assert caught.value.code == "SDD-CONFIG-VALUE"
    assert f'"{key}"' in caught.value.sentence
    assert str(WHERE) in caught.value.sentence


def test_an_unknown_key_is_named_with_its_neighbour() -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({"log-levle": "info"})
    assert caught.value.code == "SDD-CONFIG-KEY"
    assert '"log-levle"' in caught.value.sentence
    assert "log-level" in caught.value.hint


def test_a_setting_given_twice_is_named() -> None:
    with pytest.raises(errors.Invalid) as caught:
        built({"log-level": "info"}, log_level="debug")
    assert caught.value.code == "SDD-CONFIG-TWICE"
    assert '"log-level"' in caught.value.sentence


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "7", "", " ", '{"mtu": 1, "mtu": 2}', "[" * 100000, '{"a": 1} x', "\ufeff{}"],
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
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(errors.Invalid) as caught:
            load(path)
        assert caught.value.code == "SDD-CONFIG-FILE"
    latin = tmp_path / "latin"
    latin.write_bytes(b'{"node-name": "\xe9"}')
    with pytest.raises(errors.Invalid, match="not UTF-8"):
        load(latin)
    big = tmp_path / "big"
    big.write_text(" " * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(errors.Invalid, match="larger"):
        load(big)


def test_a_reload_tells_what_takes_effect_and_what_needs_a_restart() -> None:
    old = built({})
    new = replace(
        old,
        log_level="debug",
        debug=True,
        mtu=1400,
        pools=(config.PoolSetting(base=IPv4Network("10.0.0.0/8"), size=24),),
    )
    now, later = config.changed(old, new)
    assert set(now) == {"debug", "log-level"}
    assert set(later) == {"mtu", "default-address-pools"}
    assert config.changed(old, old) == ((), ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(sorted(config.KEYS)) | st.text(max_size=9), JSON, max_size=4)
)
def test_any_object_gives_a_config_or_the_one_error(file: dict[str, Any]) -> None:
    code = "SDD-CONFIG-"
    try:
        built(json.loads(json.dumps(file)))
    except errors.Invalid as error:
        code = error.code
    assert code.startswith("SDD-CONFIG-")
