"""Options and daemon.json → Config, strictly: whatever is wrong is named and nothing is guessed.

In: Options and the file's text. Out: a frozen Config. Every error is `errors.Invalid` with a code
`SDD-CONFIG-…`. What a key accepts stands in one table, `sdd.keys.KEYS`; the keys are Docker's.
"""

import difflib
import os.path
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from sdd import errors, plain, strict_json
from sdd.alloc.pools import PoolTemplate
from sdd.keys import KEYS, MetricsAddress, Wrong
from sdd.model import listener
from sdd.model.nameserver import Nameserver
from sdd.options import DEFAULT_FILE, Options

METRICS = MetricsAddress(host="127.0.0.1", port=9653)
MAX_FILE_BYTES = 1 << 20  # a settings file is a page; a megabyte is a mistake


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
    dns_rate_limit: int = 2000
    dns_forward_zones: tuple[str, ...] = ()
    dns_bind: str = "nat"
    pools: tuple[PoolTemplate, ...] = ()
    bip: IPv4Interface | None = None
    mtu: int = 0
    metrics_addr: MetricsAddress | None = METRICS
    store: str = "sqlite"
    node_name: str = ""  # the data root's (identity.py)
    lb_backend: str = "auto"
    debug: bool = False
    log_level: str = "info"
    log_format: str = "text"
    advertise_addr: str = ""
    labels: tuple[str, ...] = ()
    shutdown_timeout: int = 15


# What a running daemon takes over on SIGHUP; the rest needs a restart.
RELOADABLE = frozenset(
    {
        *("debug", "log_level", "log_format", "labels"),
        *("dns", "dns_ca", "dns_search", "dns_opts", "dns_ttl"),
        *("dns_rate_limit", "dns_forward_zones", "dns_bind"),
    }
)


def load(options: Options, *, again: bool = False) -> Config:
    """The settings in force; reads the file. Raises Invalid naming the key.

    A file that was named may be a pipe, which has its content once: not `again`, nor by default.
    """
    path, is_named = options.config or DEFAULT_FILE, options.config is not None
    take = plain.drain if is_named and not again else plain.read
    data = _read(path, take, required=is_named)
    return build(options.settings, _object(data, path) if data else {}, path)


def build(flags: Mapping[str, object], file: Mapping[str, object], path: Path) -> Config:
    """The Config of given flags and file contents; touches nothing outside."""
    sources = ((flags, "the command line"), (file, str(path)))
    _check_once(flags, file, path)
    values: dict[str, Any] = {}
    for source, where in sources:
        for key, value in source.items():
            parsed = _parse(key, value, where)
            if parsed is not None or key == "metrics-addr":
                values[_field(key)] = parsed
    values.setdefault("exec_root", Config.__dataclass_fields__["exec_root"].default)
    values.setdefault("hosts", (f"{listener.SCHEME}{values['exec_root']}/sdd.sock",))
    config = Config(**values)
    _check_together(config, {key: where for source, where in sources for key in source})
    return replace(config, log_level="debug") if config.debug else config


def _check_once(flags: Mapping[str, object], file: Mapping[str, object], path: Path) -> None:
    for key in flags:
        if key in file:
            raise errors.Invalid(
                f'"{key}" is set both as a flag ({strict_json.shown(flags[key])}) and in {path}'
                f" ({strict_json.shown(file[key])})",
                hint="keep one of them",
                code="SDD-CONFIG-TWICE",
            )


def _check_together(config: Config, given: Mapping[str, str]) -> None:
    """What no single key shows; `given` says where each was set."""
    if config.debug and "log-level" in given and config.log_level != "debug":
        raise errors.Invalid(
            f'"debug" is true in {given["debug"]}, but "log-level" is "{config.log_level}" in'
            f" {given['log-level']}",
            hint="keep one of them",
            code="SDD-CONFIG-TWICE",
        )
    if os.path.normpath(config.data_root) == os.path.normpath(config.exec_root):
        raise errors.Invalid(
            f'"data-root" and "exec-root" are both {config.data_root}',
            hint="what survives a reboot and what must not need directories of their own",
            code="SDD-CONFIG-VALUE",
        )
    if "hosts" not in given and (why := listener.fault(config.hosts[0])):
        raise errors.Invalid(
            f'"exec-root" {errors.shortened(str(config.exec_root))} holds no socket: {why}',
            hint='choose a shorter one, or say with "hosts" where the socket is',
            code="SDD-CONFIG-VALUE",
        )


def changed(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of daemon.json that differ: (taken over at once, need a restart)."""
    different = [f.name for f in fields(Config) if getattr(old, f.name) != getattr(new, f.name)]
    now = tuple(_key(name) for name in different if name in RELOADABLE)
    return now, tuple(_key(name) for name in different if name not in RELOADABLE)


class InForce:
    """The settings of a running daemon: those it began with, and what reloads changed of them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._told: list[Callable[[], None]] = []

    def subscribe(self, told: Callable[[], None]) -> None:
        """Call `told` whenever settings were taken from now on."""
        self._told.append(told)

    def take(self, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The keys that changed now, and those of `new` that need a restart."""
        now, later = changed(self.config, new)
        taken = {name: getattr(new, name) for name in RELOADABLE}
        self.config = replace(self.config, **taken)
        for told in self._told:
            told()
        return now, later

    def labels(self) -> tuple[str, ...]:
        """The labels of this node, as KEY=VALUE."""
        return self.config.labels


def _read(path: Path, take: Callable[[Path, int], bytes], *, required: bool) -> bytes:
    try:
        data = take(path, MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return b""
        raise errors.Invalid(
            f"the settings file {path} does not exist", code="SDD-CONFIG-FILE"
        ) from None
    except OSError as exc:
        raise errors.Invalid(
            f"the settings file {path} cannot be read: {exc.strerror}", code="SDD-CONFIG-FILE"
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise errors.Invalid(f"{path} is larger than 1 MiB", code="SDD-CONFIG-FILE")
    return data


def _object(data: bytes, path: Path) -> Mapping[str, object]:
    try:
        found = strict_json.load(data)
    except strict_json.Broken as exc:
        raise errors.Invalid(
            f"{path} is not valid JSON: {exc}",
            hint="see its form in docs/configuration.md; sdd --validate tries it",
            code="SDD-CONFIG-JSON",
        ) from None
    if not isinstance(found, dict):
        raise errors.Invalid(
            f"{path} must hold one JSON object",
            hint='such as {"log-level": "info"}',
            code="SDD-CONFIG-JSON",
        )
    return found


def _parse(key: str, value: object, where: str) -> object:
    if key not in KEYS:
        near = difflib.get_close_matches(key.lower().replace("_", "-"), KEYS, n=1)
        raise errors.Invalid(
            f"unknown key {strict_json.shown(key)} in {where}",
            hint=f'did you mean "{near[0]}"?' if near else f"known keys: {', '.join(sorted(KEYS))}",
            code="SDD-CONFIG-KEY",
        )
    wanted, parser = KEYS[key]
    try:
        return parser(value)
    except ValueError as exc:
        told = exc if isinstance(exc, Wrong) else Wrong()
    at = "" if told.at is None else f" at [{told.at}]"
    shown = value[told.at] if isinstance(value, list) and told.at is not None else value
    why = f" ({told.why})" if told.why else ""
    raise errors.Invalid(
        f'"{key}" must be {wanted}, not {strict_json.shown(shown)}{at}{why}, in {where}',
        code="SDD-CONFIG-VALUE",
    )


def _field(key: str) -> str:
    return "pools" if key == "default-address-pools" else key.replace("-", "_")


def _key(name: str) -> str:
    return "default-address-pools" if name == "pools" else name.replace("_", "-")
