"""Elements → nft text: one buffer, one transaction. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator

from lb.kernel.ports.frame import FRAME, REMOVE, TABLE
from lb.ports.image import CHAIN, Element


def rebuild(after: Collection[Element]) -> str:
    """Everything, from nothing; without elements the table only goes."""
    if not after:
        return REMOVE
    return "\n".join((REMOVE, FRAME, changes((), after)))


def changes(gone: Collection[Element], come: Collection[Element]) -> str:
    """Chains come before what leads to them and go after it."""
    lines = [*_chains(come), *_elements("delete", gone), *_elements("add", come)]
    for each in gone:
        if each.set == CHAIN:
            lines.append(f"flush chain inet {TABLE} {each.key}")
            lines.append(f"delete chain inet {TABLE} {each.key}")
    return "\n".join(lines)


def _chains(come: Collection[Element]) -> Iterator[str]:
    for each in come:
        if each.set == CHAIN:
            yield f"add chain inet {TABLE} {each.key}"
            yield f'add rule inet {TABLE} {each.key} {each.rule} comment "{each.key}"'


def _elements(verb: str, those: Collection[Element]) -> Iterator[str]:
    by_set: defaultdict[str, list[str]] = defaultdict(list)
    for each in those:
        if each.set != CHAIN:
            # A key is enough to delete, and some versions of nft want no more.
            has_value = each.value and verb == "add"
            by_set[each.set].append(f"{each.key} : {each.value}" if has_value else each.key)
    for name, found in by_set.items():
        yield f"{verb} element inet {TABLE} {name} {{ {', '.join(found)} }}"
