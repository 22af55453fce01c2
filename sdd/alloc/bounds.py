"""How much one object may hold: one table for everything that the API takes.

In: the name of a field and what it holds. Out: nothing, or Invalid `SDD-BOUND`. The numbers are
Kubernetes' where it has one (search domains, the form of a label's key), else far beyond use.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sdd import errors

CODE: Final = "SDD-BOUND"
TEXT: Final = 4095  # characters of any text: PATH_MAX of the kernel without its end
LABEL_KEY: Final = 317  # prefix of 253, a slash, a name of 63
LABEL_VALUE: Final = 1024
ENTRIES: Final = 64  # of a list or an object that is not named here
LABELS: Final = frozenset({"labels", "label_add"})
COUNTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "labels": 128,
        "aliases": 64,
        "servers": 32,
        "search": 32,
        "zones": 32,
        "options": 32,
        "hosts": 256,
        "publish": 256,
        "aux": 256,
    }
)
# Fields that add to, take from, or are another name of one in the table.
_SAME: Final[Mapping[str, str]] = MappingProxyType(
    {
        "label_add": "labels",
        "label_remove": "labels",
        "alias_add": "aliases",
        "alias_remove": "aliases",
        "dns": "servers",
        "dns_add": "servers",
        "dns_remove": "servers",
        "dns_search": "search",
        "search_add": "search",
        "search_remove": "search",
        "dns_zones": "zones",
        "zone_add": "zones",
        "zone_remove": "zones",
        "extra_hosts": "hosts",
        "gateway_hosts": "hosts",
        "driver_opts": "options",
        "publish_add": "publish",
        "publish_remove": "publish",
    }
)


def check_count(field: str, count: int, of: str = "") -> None:
    """Whether a list or an object may have `count` entries; `of` names the object it belongs to."""
    most = COUNTS.get(_SAME.get(field, field), ENTRIES)
    if count > most:
        raise errors.Invalid(
            f'{of and f"{of}: "}"{field}" would have {count} entries, at most {most} are taken',
            hint="give fewer, or spread them over several objects",
            code=CODE,
        )


def check_text(field: str, text: str) -> None:
    """Whether a text may be as long as it is."""
    if len(text) > TEXT:
        raise errors.Invalid(
            f'"{field}" has {len(text)} characters, at most {TEXT} are taken',
            hint="give a shorter text",
            code=CODE,
        )


def check_label(key: str, value: str) -> None:
    """Whether `key` and `value` may be a label."""
    if not key or not key.isprintable() or any(map(str.isspace, key)):
        raise _label(f"the label key {errors.quoted(key)} is empty or holds a blank")
    if len(key) > LABEL_KEY:
        raise _label(f"the label key {errors.quoted(key)} is longer than {LABEL_KEY}")
    if len(value) > LABEL_VALUE:
        raise _label(
            f"the value of the label {errors.quoted(key)} has {len(value)} characters,"
            f" at most {LABEL_VALUE} are taken"
        )


def _label(sentence: str) -> errors.Invalid:
    return errors.Invalid(
        sentence,
        hint=f"a label is KEY=VALUE: a key of 1 to {LABEL_KEY} characters without blanks,"
        f" a value of up to {LABEL_VALUE}",
        code=CODE,
    )
