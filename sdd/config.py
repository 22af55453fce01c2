"""Options and daemon.json → Config, strictly: whatever is wrong is named and nothing is guessed.

In: Options and the file's text. Out: a frozen Config. Every error is `errors.Invalid` with a code
`SDD-CONFIG-…`. What a key accepts stands in one table, `KEYS`; the keys are Docker's.
"""

import difflib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from sdd import errors
from sdd.model import nameserver
from sdd.model.nameserver import Nameserver
from sdd.model.network import IPNetwork
from sdd.options import DEFAULT_FILE, Options

METRICS_PORT = 9653
MAX_FILE_BYTES = 1 << 20  # a settings file is a page; a megabyte is a mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSetting:
    """One entry of `default-address-pools`: networks of prefix length `size` out of `base`."""

    base: IPNetwork
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsAddress:
    """Where the Prometheus page is served over TCP."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the daemon can be told. Empty `pools` means Docker's own list."""

    data_root: Path = Path("/var/lib/sdd")
    exec_root: Path = Path("/run/sdd")
    hosts: tuple[str, ...] = ()
    dns: tuple[Nameserver, ...] = ()
    dns_ca: Path | None = None
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    dns_ttl: int = 5
    dns_bind: str = "nat"
    pools: tuple[PoolSetting, ...] = ()
    bip: IPv4Interface | None = None
    mtu: int = 0
    metrics_addr: MetricsAddress | None = MetricsAddress(host="127.0.0.1", port=METRICS_PORT)
    store: str = "sqlite"
    node_name: str = ""
    lb_backend: str = "auto"
    debug: bool = False
    log_level: str = "info"
    log_format: str = "text"
    labels: tuple[str, ...] = ()
    shutdown_timeout: int = 15


# What a running daemon takes over on SIGHUP; the rest needs a restart.
RELOADABLE = frozenset({"debug", "log_level", "log_format", "labels"})


def load(options: Options) -> Config:
    """The settings in force; reads the file and the hostname. Raises Invalid naming the key."""
    path = options.config or DEFAULT_FILE
    text = _read(path, required=options.config is not None)
    return build(options.settings, _object(text, path) if text else {}, path, socket.gethostname())


def build(
    flags: Mapping[str, object], file: Mapping[str, object], path: Path, hostname: str
) -> Config:
    """The Config of given flags and file contents; touches nothing outside."""
    for key in flags:
        if key in file:
            raise errors.Invalid(
                f'"{key}" is set both as a flag ({flags[key]}) and in {path} ({file[key]})',
                hint="keep one of them",
                code="SDD-CONFIG-TWICE",
            )
    values: dict[str, Any] = {"node_name": hostname}
    for source, where in ((flags, "command line"), (file, str(path))):
        for key, value in source.items():
            parsed = _parse(key, value, where)
            if parsed is not None or key == "metrics-addr":
                values[_field(key)] = parsed
    values.setdefault("exec_root", Config.__dataclass_fields__["exec_root"].default)
    values.setdefault("hosts", (f"unix://{values['exec_root']}/sdd.sock",))
    if values.get("debug"):
        values["log_level"] = "debug"
    return Config(**values)


def changed(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of daemon.json that differ: (taken over at once, need a restart)."""
    different = [f.name for f in fields(Config) if getattr(old, f.name) != getattr(new, f.name)]
    now = tuple(_key(name) for name in different if name in RELOADABLE)
    return now, tuple(_key(name) for name in different if name not in RELOADABLE)


def _read(path: Path, *, required: bool) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return ""
        raise errors.Invalid(
            f"the settings file {path} does not exist", code="SDD-CONFIG-FILE"
        ) from None
    except OSError as exc:
        raise errors.Invalid(
            f"the settings file {path} cannot be read: {exc.strerror}", code="SDD-CONFIG-FILE"
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise errors.Invalid(f"{path} is larger than 1 MiB", code="SDD-CONFIG-FILE")
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise errors.Invalid(
            f"{path} is not UTF-8 text (byte {exc.start})", code="SDD-CONFIG-JSON"
        ) from None


def _object(text: str, path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as exc:
        raise errors.Invalid(
            f"{path} is not valid JSON: {exc.msg} at line {exc.lineno} column {exc.colno}",
            code="SDD-CONFIG-JSON",
        ) from None
    except (_Twice, RecursionError) as exc:
        raise errors.Invalid(f"{path}: {exc}", code="SDD-CONFIG-JSON") from None
    if not isinstance(found, dict):
        raise errors.Invalid(f"{path} must hold one JSON object", code="SDD-CONFIG-JSON")
    return found


class _Twice(Exception):
    pass


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(f'the key "{key}" stands there twice')
        found[key] = value
    return found


def _parse(key: str, value: object, where: str) -> object:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        raise errors.Invalid(
            f'unknown key "{key}" in {where}',
            hint=f'did you mean "{near[0]}"?' if near else f"known keys: {', '.join(sorted(KEYS))}",
            code="SDD-CONFIG-KEY",
        )
    wanted, parser = KEYS[key]
    try:
        return parser(value)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        why = f" ({exc})" if isinstance(exc, _Why) else ""
        raise errors.Invalid(
            f'"{key}" must be {wanted}, not {json.dumps(value)}{why}, in {where}',
            code="SDD-CONFIG-VALUE",
        ) from None


def _field(key: str) -> str:
    return "pools" if key == "default-address-pools" else key.replace("-", "_")


def _key(name: str) -> str:
    return "default-address-pools" if name == "pools" else name.replace("_", "-")


# --- what a value may be ----------------------------------------------------------------------


class _Why(ValueError):
    """A reason worth showing beside the rule."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or any(ord(c) < 0x20 for c in value):  # noqa: PLR2004 - control characters
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return parse


def _one_of(*allowed: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError
        return str(value)

    return parse


def _list_of(parser: Callable[[object], object]) -> Callable[[object], tuple[object, ...]]:
    def parse(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(parser(each) for each in value)

    return parse


def _directory(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise _Why("the path is relative")
    return path


def _url(value: object) -> str:
    text = _text(value)
    if text != "fd://" and not text.startswith("unix:///"):
        raise ValueError
    return text


def _nameserver(value: object) -> Nameserver:
    text = _text(value)
    try:
        return nameserver.parse(text)
    except ValueError as exc:
        raise _Why(str(exc)) from None


def _pool(value: object) -> PoolSetting:
    if not isinstance(value, dict) or value.keys() != {"base", "size"}:
        raise TypeError
    base = ip_network(_text(value["base"]))
    size = _number(base.prefixlen, base.max_prefixlen)(value["size"])
    return PoolSetting(base=base, size=size)


def _bridge_address(value: object) -> IPv4Interface:
    found = ip_interface(_text(value))
    if not isinstance(found, IPv4Interface) or found.network.prefixlen > 30:  # noqa: PLR2004 - room for one peer
        raise ValueError
    if found.ip in (found.network.network_address, found.network.broadcast_address):
        raise _Why("that is the network's or the broadcast address")
    return found


def _metrics(value: object) -> MetricsAddress | None:
    if value == "off":
        return None
    host, _, port = _text(value).rpartition(":")
    if not port.isascii() or not port.isdigit():
        raise ValueError
    literal = ip_address(host.removeprefix("[").removesuffix("]"))
    return MetricsAddress(host=str(literal), port=_number(0, 65535)(int(port)))


def _label(value: object) -> str:
    text = _text(value)
    if not text.partition("=")[0]:
        raise ValueError
    return text


def _stderr(value: object) -> None:
    _one_of("stderr")(value)


def _nothing(value: object) -> None:
    if value != {}:
        raise ValueError


LEVELS = ("debug", "info", "warn", "error", "fatal")
KEYS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "data-root": ("an absolute path", _directory),
    "exec-root": ("an absolute path", _directory),
    "hosts": ("a list of unix:///PATH or fd://", _list_of(_url)),
    "dns": ("a list of addresses or TRANSPORT://ADDRESS", _list_of(_nameserver)),
    "dns-ca": ("an absolute path", _directory),
    "dns-search": ("a list of domains", _list_of(_text)),
    "dns-opts": ("a list of resolv.conf options", _list_of(_text)),
    "dns-ttl": ("a number of seconds from 0 to 86400", _number(0, 86400)),
    "dns-bind": ("nat or direct", _one_of("nat", "direct")),
    "default-address-pools": ('a list of {"base": CIDR, "size": PREFIX LENGTH}', _list_of(_pool)),
    "bip": ("an IPv4 address with its prefix length, such as 172.17.0.1/16", _bridge_address),
    "mtu": ("0 (the kernel's choice) or a number of bytes from 68 to 65535", _number(0, 65535)),
    "metrics-addr": ('IP:PORT or "off"', _metrics),
    "store": ('"sqlite" (etcd is not built yet)', _one_of("sqlite")),
    "node-name": ("a name", _text),
    "lb-backend": ("auto, ipvs or nftables", _one_of("auto", "ipvs", "nftables")),
    "debug": ("true or false", _flag),
    "log-level": (f"one of {', '.join(LEVELS)}", _one_of(*LEVELS)),
    "log-format": ("text or json", _one_of("text", "json")),
    "log-driver": ('"stderr" (other drivers are not built yet)', _stderr),
    "log-opts": ("{} (no log driver that takes options is built yet)", _nothing),
    "advertise-addr": ("left out (several hosts are not built yet)", _nothing),
    "labels": ("a list of KEY=VALUE", _list_of(_label)),
    "shutdown-timeout": ("a number of seconds from 0 to 3600", _number(0, 3600)),
}
