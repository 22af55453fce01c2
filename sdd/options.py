"""The command line of `sdd` → Options. A flag is one setting of daemon.json under its key there.

In: argv. Out: a frozen value, or exit 2 with a sentence. Stays light: no value is checked here,
because config checks flags and file alike.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_FILE = Path("/etc/sdd/daemon.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`settings` holds only what was given, by the key of daemon.json.

    `config` None means the default file, which need not exist; a file that was named must.
    """

    config: Path | None = None
    settings: Mapping[str, object]
    validate: bool = False


def parse_args(argv: Sequence[str], version: str) -> Options:
    """What the command line says; raises SystemExit (2 for a wrong one, 0 for --help)."""
    given = vars(_parser(version).parse_args(argv))
    config, validate = given.pop("config"), given.pop("validate")
    settings = {key: value for key, value in given.items() if value is not None}
    return Options(config=Path(config) if config else None, settings=settings, validate=validate)


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdd",
        description="Names, virtual IPs and networks for any Linux network namespace.",
        epilog=f"Settings without a flag are in {DEFAULT_FILE}; see docs/configuration.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help=f"settings (default: {DEFAULT_FILE})")
    for flag, key, metavar, text in FLAGS:
        repeated = key == "hosts"
        parser.add_argument(
            flag, dest=key, metavar=metavar, help=text, action="append" if repeated else "store"
        )
    parser.add_argument("--debug", action="store_true", default=None, help="log everything")
    parser.add_argument("--validate", action="store_true", help="check the settings and end")
    parser.add_argument("--version", action="version", version=f"sdd {version}")
    return parser


# flag, key of daemon.json, metavar, help
FLAGS = (
    ("--data-root", "data-root", "DIR", "what survives a reboot (default: /var/lib/sdd)"),
    ("--exec-root", "exec-root", "DIR", "sockets and namespaces (default: /run/sdd)"),
    ("--host", "hosts", "URL", "API socket, unix:///PATH or fd://; repeatable"),
    ("--metrics-addr", "metrics-addr", "IP:PORT", "Prometheus page, or off (127.0.0.1:9653)"),
    ("--store", "store", "ENGINE", "sqlite"),
    ("--log-level", "log-level", "LEVEL", "debug, info, warn, error or fatal"),
    ("--log-format", "log-format", "FORMAT", "text (logfmt) or json"),
    ("--lb-backend", "lb-backend", "NAME", "auto, ipvs or nftables"),
    (
        "--node-name",
        "node-name",
        "NAME",
        "this node's name (default: the data root's, at first the hostname)",
    ),
)
