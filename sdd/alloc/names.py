"""Which names an object may have: checked here, once, so that all the rest may trust them.

In: text from callers. Out: the same text, or Invalid that says the rule. A sandbox's name is also
a file name and every name may become a DNS label, hence the bounds.
"""

import re

from sdd import errors
from sdd.model.loopback import LOCALHOST, is_loopback

LIMIT = 63  # octets of one DNS label, RFC 1035 §2.3.4
HOST_LIMIT = 253  # octets of a whole name as people write it
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # Docker's rule for names
LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?")
OPTION = re.compile(r"[a-z0-9][a-z0-9-]*(:[a-z0-9.-]+)?")
TASKS = "tasks."  # `tasks.<service>` means the members, so no object may be called so


def checked(kind: str, name: str) -> str:
    """`name` as the name of a `kind`; raises Invalid `SDD-<KIND>-NAME`, `SDD-NAME-LOCALHOST`."""
    _check_loopback(f"{kind} name", name)
    if NAME.fullmatch(name) and len(name) <= LIMIT and not name.endswith("."):
        return name
    raise errors.Invalid(
        f"{errors.quoted(name)} is not a valid {kind} name",
        hint=f"use 1 to {LIMIT} letters, digits, '_', '.' and '-', the first a letter or digit",
        code=f"SDD-{AREAS[kind]}-NAME",
    )


def checked_service(name: str) -> str:
    """`name` as a service's; also refuses `tasks.…`, which names the members of a service."""
    if name.lower().startswith(TASKS):
        raise errors.Invalid(
            f"{errors.quoted(name)} is not a valid service name:"
            f" {TASKS}<service> names a service's members",
            hint="choose a name that does not start so",
            code="SDD-SERVICE-NAME",
        )
    return checked("service", name)


def checked_host(what: str, name: str) -> str:
    """`name` as an alias, a hostname or another name the DNS server answers for."""
    labels = name.split(".")
    if len(name) <= HOST_LIMIT and all(LABEL.fullmatch(x) and len(x) <= LIMIT for x in labels):
        return name
    raise errors.Invalid(
        f"{what} {errors.quoted(name)} is not a valid host name",
        hint=f"use labels of 1 to {LIMIT} letters, digits, '-' and '_', joined by dots",
        code="SDD-NAME-HOST",
    )


def checked_owned(what: str, name: str) -> str:
    """`checked_host` for a name that others may look up: not `localhost`, which is their own."""
    _check_loopback(what, name)
    return checked_host(what, name)


# RFC 6761 §6.3, §6.4, RFC 7686, RFC 9476: a question for them would tell strangers.
NEVER_FORWARDED = frozenset({LOCALHOST, "invalid", "onion", "alt"})


def _check_loopback(what: str, name: str) -> None:
    if is_loopback(name):
        raise errors.Invalid(
            f"{what} {errors.quoted(name)} cannot be given: it means each asker's own loopback",
            hint="choose another name",
            code="SDD-NAME-LOCALHOST",
        )


def checked_search(domain: str) -> str:
    """`domain` as a search domain; a single dot means "none" and may end in one otherwise."""
    return domain if domain == "." else checked_host("search domain", domain.removesuffix("."))


def checked_forward_zone(domain: str) -> str:
    """`domain` as a zone that is forwarded although its names have a special use."""
    if domain == ".":
        raise errors.Invalid(
            "the root is no zone of its own: it would be all names",
            hint="servers for all names are given by --dns",
            code="SDD-NAME-FORWARD",
        )
    zone = checked_host("domain", domain.removesuffix(".")).lower()
    if zone.rpartition(".")[2] in NEVER_FORWARDED:
        raise errors.Invalid(
            f"domain {errors.quoted(domain)} cannot be forwarded: nobody may know its names",
            hint="any other can: corp.example, local, a reverse zone such as 10.in-addr.arpa",
            code="SDD-NAME-FORWARD",
        )
    return zone


def checked_option(option: str) -> str:
    """`option` as one word of resolv.conf's options line, such as `ndots:2` or `rotate`."""
    if OPTION.fullmatch(option) and len(option) <= LIMIT:
        return option
    raise errors.Invalid(
        f"DNS option {errors.quoted(option)} is not a word of resolv.conf",
        hint="examples: ndots:2, timeout:1, attempts:3, rotate, edns0 (see man resolv.conf)",
        code="SDD-NAME-OPTION",
    )


AREAS = {"network": "NET", "sandbox": "SANDBOX", "service": "SERVICE"}
