"""What each key of daemon.json may say: one table, `KEYS`, of words for people and a parser.

In: a decoded JSON value. Out: the value the daemon works with, or `Wrong` with the reason. Where
the same thing can be given elsewhere (a search domain, a subnet), the check is the same function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_address, ip_interface
from pathlib import Path

from sdd import errors
from sdd.alloc import bounds, names, pools
from sdd.model import address, listener, nameserver, subnet
from sdd.model.nameserver import Nameserver
from sdd.model.options import MTU_MAX, MTU_MIN, to_ifname

BRIDGE_LONGEST = 30  # prefix length with room for one peer
PORT_MAX = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsAddress:
    """Where the Prometheus page is served over TCP."""

    host: str
    port: int


class Wrong(ValueError):
    """A value that a key does not take: `why` or empty, and `at`, the place of it in a list."""

    def __init__(self, why: str = "", *, at: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.at = at


# --- one value --------------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong
    if not value.strip():
        raise Wrong("it is empty")
    if not value.isprintable() or value != value.strip():
        raise Wrong("it has blanks around it or holds what cannot be printed")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong
    return value


def _number(low: int, high: int, *, also: int | None = None) -> Callable[[object], int]:
    def parse(value: object) -> int:
        # Python's True is a number, JSON's is not.
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong
        if value != also and not low <= value <= high:
            raise Wrong
        return value

    return parse


def _one_of(*allowed: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in allowed:
            raise Wrong
        return str(value)

    return parse


def _directory(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise Wrong("the path is relative")
    return path


def _url(value: object) -> str:
    text = _text(value)
    if why := listener.fault(text):
        raise Wrong(why)
    return text


def _nameserver(value: object) -> Nameserver:
    text = _text(value)
    try:
        # They are asked from the host, where a link of its own can be named.
        found = nameserver.parse(text, ip_address)
    except ValueError as exc:
        raise Wrong(str(exc)) from None
    if found.is_ours:
        raise Wrong("that is the server that every sandbox has: it would ask itself")
    return found


def _checked(check: Callable[[str], str]) -> Callable[[object], str]:
    """A word that commands take too: what refuses it there refuses it here."""

    def parse(value: object) -> str:
        try:
            return check(_text(value))
        except errors.Invalid as exc:
            raise Wrong(f"{exc.sentence}; {exc.hint}") from None

    return parse


def _node(name: str) -> str:
    return names.checked_host("node name", name)


def _pool(value: object) -> pools.PoolTemplate:
    if not isinstance(value, dict) or value.keys() != {"base", "size"}:
        raise Wrong
    try:
        base = subnet.parse(_text(value["base"]))
    except errors.Invalid as exc:
        raise Wrong(f"{exc.sentence}; {exc.hint}") from None
    try:
        size = _number(base.prefixlen, base.max_prefixlen)(value["size"])
    except Wrong:
        span = f"from {base.prefixlen} to {base.max_prefixlen - pools.LEAST_BITS}"
        raise Wrong(f'"size" is a prefix length {span} here') from None
    found = pools.PoolTemplate(base=base, size=size)
    if why := pools.fault(found):
        raise Wrong(why)
    return found


def _bridge_address(value: object) -> IPv4Interface:
    found = ip_interface(_text(value))
    if not isinstance(found, IPv4Interface) or found.network.prefixlen > BRIDGE_LONGEST:
        raise Wrong
    if why := subnet.unusable(found.network):
        raise Wrong(f"{found.network} {why}")
    if found.ip in (found.network.network_address, found.network.broadcast_address):
        raise Wrong("that is the network's or the broadcast address")
    return found


def _metrics(value: object) -> MetricsAddress | None:
    if value == "off":
        return None
    host, _, port = _text(value).rpartition(":")
    if not port.isascii() or not port.isdigit():
        raise Wrong
    bare = host.removeprefix("[").removesuffix("]")
    literal = ip_address(bare)
    if host != (f"[{bare}]" if ":" in bare else bare):
        raise Wrong("an IPv6 address stands in brackets")
    if literal.is_multicast:
        raise Wrong("nobody can listen at a multicast address")
    return MetricsAddress(host=str(literal), port=_number(0, PORT_MAX)(int(port)))


def _advertised(value: object) -> str:
    text = _text(value)
    try:
        found = address.parse(text)
    except address.Zoned as exc:
        raise Wrong(str(exc)) from None
    except ValueError:
        return to_ifname(text)
    if found.is_unspecified or found.is_multicast or found.is_loopback:
        raise Wrong("other hosts cannot reach this one there")
    return str(found)


def _stderr(value: object) -> None:
    _one_of("stderr")(value)


def _nothing(value: object) -> None:
    if value != {}:
        raise Wrong


# --- lists ------------------------------------------------------------------------------------


def _list_of(parser: Callable[[object], object]) -> Callable[[object], tuple[object, ...]]:
    def parse(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise Wrong
        found = []
        for at, each in enumerate(value):
            try:
                found.append(parser(each))
            except ValueError as exc:
                raise Wrong(exc.why if isinstance(exc, Wrong) else "", at=at) from None
        return tuple(found)

    return parse


def _hosts(value: object) -> tuple[object, ...]:
    found = _list_of(_url)(value)
    if not found:
        raise Wrong("nobody could talk to the daemon")
    _once(found)
    return found


def _pools(value: object) -> tuple[object, ...]:
    found = _list_of(_pool)(value)
    templates = [each for each in found if isinstance(each, pools.PoolTemplate)]
    if both := pools.clash(templates):
        early, late = both
        raise Wrong(f"it overlaps with {templates[early].base} at [{early}]", at=late)
    return found


def _labels(value: object) -> tuple[object, ...]:
    found = _list_of(_label)(value)
    if len(found) > bounds.COUNTS["labels"]:
        raise Wrong(f"at most {bounds.COUNTS['labels']}")
    _once([str(each).partition("=")[0] for each in found])
    return found


def _label(value: object) -> str:
    text = _text(value)
    key, equals, worth = text.partition("=")
    if not key or not equals:
        raise Wrong
    try:
        bounds.check_label(key, worth)
    except errors.Invalid as exc:
        raise Wrong(exc.sentence) from None
    return text


def _once(words: Sequence[object]) -> None:
    for at, each in enumerate(words):
        if each in words[:at]:
            raise Wrong(f"{each} stands at [{words.index(each)}] already", at=at)


# --- the table --------------------------------------------------------------------------------

LEVELS = ("debug", "info", "warn", "error", "fatal")
KEYS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "data-root": ("an absolute path", _directory),
    "exec-root": ("an absolute path", _directory),
    "hosts": ("a list of unix:///PATH or fd://", _hosts),
    "dns": ("a list of addresses or TRANSPORT://ADDRESS", _list_of(_nameserver)),
    "dns-ca": ("an absolute path", _directory),
    "dns-search": ("a list of domains", _list_of(_checked(names.checked_search))),
    "dns-opts": ("a list of resolv.conf options", _list_of(_checked(names.checked_option))),
    "dns-ttl": ("a number of seconds from 0 to 86400", _number(0, 86400)),
    "dns-rate-limit": ("0 (no limit) or questions a second up to 1000000", _number(0, 1_000_000)),
    "dns-forward-zones": (
        "a list of domains, such as corp.local or 10.in-addr.arpa",
        _list_of(_checked(names.checked_forward_zone)),
    ),
    "dns-bind": ("nat or direct", _one_of("nat", "direct")),
    "default-address-pools": ('a list of {"base": CIDR, "size": PREFIX LENGTH}', _pools),
    "bip": ("an IPv4 address with its prefix length, such as 172.17.0.1/16", _bridge_address),
    "mtu": (
        f"0 (the kernel's choice) or a number of bytes from {MTU_MIN} to {MTU_MAX}",
        _number(MTU_MIN, MTU_MAX, also=0),
    ),
    "metrics-addr": ('IP:PORT or "off"', _metrics),
    "store": ('"sqlite" (etcd is not built yet)', _one_of("sqlite")),
    "node-name": ("a host name", _checked(_node)),
    "lb-backend": ("auto, ipvs or nftables", _one_of("auto", "ipvs", "nftables")),
    "debug": ("true or false", _flag),
    "log-level": (f"one of {', '.join(LEVELS)}", _one_of(*LEVELS)),
    "log-format": ("text or json", _one_of("text", "json")),
    "log-driver": ('"stderr" (other drivers are not built yet)', _stderr),
    "log-opts": ("{} (no log driver that takes options is built yet)", _nothing),
    "advertise-addr": ("an IP address or the name of an interface", _advertised),
    "labels": ("a list of KEY=VALUE", _labels),
    "shutdown-timeout": ("a number of seconds from 0 to 3600", _number(0, 3600)),
}
