"""What rules do, as a few bytes to compare: the expressions that the kernel lists, digested.

In: rules as listed. Out: a print a chain. The same rules have the same print in every namespace of
one kernel: an anonymous set or map stands there with its elements, not with the name that it got.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from lb.kernel import nft_netlink
from lb.kernel.nft_frame import TABLE
from sdd.linux import netlink

SET = "@"
Prints = Mapping[str, bytes]  # by chain, or by SET and the name of a set
_ANONYMOUS = (b"__set", b"__map")  # how nft and we begin their names
_LOOKUP = b"lookup\0"
_NAME, _DATA = 1, 2  # NFTA_EXPR_*
_SET = 1  # NFTA_LOOKUP_SET


def outside(connection: netlink.Connection, rules: nft_netlink.Rules, of: str = TABLE) -> bytes:
    """That of all rules as they look, and of which sets they look into.

    Quick, as no elements are listed; but it is another one each time that a table is made.
    """
    found = hashlib.blake2b(str(nft_netlink.handle(connection, of)).encode(), digest_size=16)
    for chain, those in rules.items():
        found.update(f"{chain} {len(those)} ".encode())
        for each in those:
            found.update(len(each.expressions).to_bytes(4, "big") + each.expressions)
    for name, number in sorted(nft_netlink.sets(connection, of)):
        found.update(name + number)
    return found.digest()


def of_chains(
    connection: netlink.Connection, rules: nft_netlink.Rules, of: str = TABLE
) -> dict[str, bytes]:
    """That of each chain of the table in the namespace of `connection`."""
    return {chain: of_rules(connection, those, of) for chain, those in rules.items()}


def of_sets(
    connection: netlink.Connection, names: Iterable[str], of: str = TABLE
) -> dict[str, bytes]:
    """That of each of those sets."""
    return {f"{SET}{name}": _of_set(connection, name, of) for name in names}


def of_rules(
    connection: netlink.Connection, those: Iterable[nft_netlink.Rule], of: str = TABLE
) -> bytes:
    """That of one chain's rules."""
    found = hashlib.blake2b(digest_size=16)
    for each in those:
        is_plain = not any(mark in each.expressions for mark in _ANONYMOUS)
        parts = (each.expressions,) if is_plain else _parts(connection, each.expressions, of)
        whole = b"".join(parts)
        found.update(len(whole).to_bytes(4, "big") + whole)
    return found.digest()


def _of_set(connection: netlink.Connection, name: str, of: str) -> bytes:
    """That of its elements, in whatever order they are listed."""
    replies = nft_netlink.listed(connection, name, of)
    every = sorted(each for reply in replies for each in _elements(nft_netlink.told(reply)))
    return hashlib.blake2b(b"".join(every), digest_size=16).digest()


def differences(found: Prints, wanted: Prints) -> Iterator[str]:
    """What of `found` is not as `wanted`, in words."""
    for name, each in found.items():
        if wanted.get(name) == each:
            continue
        if name.startswith(SET):
            yield f"the set {name.removeprefix(SET)!r} has not the elements that sdd gives it"
        else:
            yield f"the rules of the chain {name!r} do not do what they say"


def _parts(connection: netlink.Connection, expressions: bytes, of: str) -> Iterator[bytes]:
    for _, one in netlink.walk(expressions):
        if any(mark in one for mark in _ANONYMOUS):
            yield from _with_elements(connection, one, of)
        else:
            yield one


def _with_elements(connection: netlink.Connection, one: bytes, of: str) -> Iterator[bytes]:
    """An expression; a look into an anonymous set with that one's elements."""
    found = netlink.attributes(one)
    data = found.get(_DATA, b"")
    name = netlink.attributes(data).get(_SET, b"")
    if found.get(_NAME) != _LOOKUP or not name.startswith(_ANONYMOUS):
        yield one
        return
    yield _LOOKUP
    yield b"".join(each for kind, each in netlink.raw(data) if kind != _SET)
    yield _of_set(connection, netlink.to_text(name), of)


def _elements(whole: bytes) -> Iterable[bytes]:
    """Each with its head; they are mostly of one length, and cutting is quicker than reading."""
    length = (netlink.to_int(whole[:2]) + 3) & ~3
    if length and not len(whole) % length:
        cut = [whole[at : at + length] for at in range(0, len(whole), length)]
        if len({each[:4] for each in cut}) == 1:
            return cut
    return [each for _, each in netlink.raw(whole)]
