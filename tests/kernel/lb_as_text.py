"""A table of virtual services as nft's own text: what our requests must list as, and be as fast as."""

from collections.abc import Iterator

from lb import choice, table
from lb.kernel import nft_text
from lb.kernel.nft_frame import TABLE


def whole(of: table.Table) -> str:
    """Everything, from nothing."""
    lines = [nft_text.frame_of("")]
    for service in of.services.values():
        lines.extend(_maps(service))
        lines.extend((f"add chain inet {TABLE} {nft_text.chain(service.vip)}", *_rules(service)))
        lines.extend(_elements(service))
    return "\n".join(lines)


def replaced(service: table.VirtualService) -> str:
    """The new rules of a service that is there, of the same number of slots."""
    lines = [f"flush chain inet {TABLE} {nft_text.chain(service.vip)}"]
    for size, _ in _chosen(service).layers if choice.is_large(service) else ():
        lines.append(f"delete map inet {TABLE} {nft_text.slots(service.vip, size)}")
    return "\n".join((*lines, *_maps(service), *_rules(service)))


def _rules(service: table.VirtualService) -> Iterator[str]:
    verdicts = list(_verdicts(service))
    comments = nft_text.comments(service, len(verdicts))
    verdicts += ["accept"] * (len(comments) - len(verdicts))
    for verdict, comment in zip(verdicts, comments, strict=True):
        yield (f'add rule inet {TABLE} {nft_text.chain(service.vip)} {verdict} comment "{comment}"')


def _verdicts(service: table.VirtualService) -> Iterator[str]:
    ip = choice.family(service.vip.version)
    ready = choice.taking(service.open, service.scheduler)
    if len(ready) > 1:
        chosen = _chosen(service)
        to = f"meta l4proto @{nft_text.PORTED} dnat {ip} to"
        for size, _ in reversed(chosen.layers):
            assert chosen.key is not None
            name = nft_text.slots(service.vip, size)
            yield f"{to} {choice.hashed(ip, chosen.key, size)} map @{name}"
        yield f"{to} {choice.text(ip, chosen)}"
    if not ready:
        yield "iif != 0 accept"
    first = ready[0].address if ready else nft_text.NOWHERE[service.vip.version]
    yield f"dnat {ip} to {first}"


def _chosen(service: table.VirtualService) -> choice.Choice:
    return choice.of_service(service)


def _maps(service: table.VirtualService) -> Iterator[str]:
    to = f"{choice.family(service.vip.version)} daddr"
    for size, layer in _chosen(service).layers if choice.is_large(service) else ():
        name = nft_text.slots(service.vip, size)
        elements = f"elements = {{ {choice.elements(layer)} }}" if layer else ""
        yield f"add map inet {TABLE} {name} {{ typeof meta length : {to}; {elements} }}"


def _elements(service: table.VirtualService) -> Iterator[str]:
    vip, version = service.vip, service.vip.version
    name = nft_text.chain(vip)
    yield f"add element inet {TABLE} vip{version} {{ {vip} : goto {name} }}"
    yield f"add element inet {TABLE} own{version} {{ {vip} }}"
