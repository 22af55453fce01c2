"""The ways back of one namespace as the kernel holds them: nft table, rules and routes together.

Runs inside the namespace. Rules and routes of others are never touched: ours are told by their
protocol number.
"""

import socket
from collections.abc import Iterator

from lb import world
from lb.back import DAMAGED, Back
from lb.kernel import back_text, mark_routes, nft_netlink, nft_prints
from lb.kernel.back_text import TABLE
from lb.kernel.nft_prints import Prints
from sdd import errors
from sdd.linux import netlink, nft

NOT_YET = "SDD-LB-NOTYET"
_Rule = mark_routes.Rule
_Line = mark_routes.Route | mark_routes.Near


def read() -> Back | None:
    """What is there: None for nothing, `DAMAGED` for less or more than we make."""
    back, rules, routes = _found()
    if back is None and not rules and not routes:
        return None
    if back is None or back is DAMAGED:
        return DAMAGED
    is_whole = rules == mark_routes.rules(back) and routes == mark_routes.routes(
        back, _index(back.link)
    )
    return back if is_whole else DAMAGED


def look(connection: netlink.Connection) -> tuple[bytes, Prints]:
    """How the table of the namespace of `connection` looks from outside, and the prints of that."""
    rules = nft_netlink.rules(connection, of=TABLE)
    return (
        nft_prints.outside(connection, rules, TABLE),
        nft_prints.of_chains(connection, rules, TABLE),
    )


def wanted(back: Back) -> Prints:
    """What the prints should be. Call it in an empty namespace: nft makes the table there."""
    _run(back_text.text(back))
    with netlink.Connection(netlink.NETFILTER) as connection:
        return look(connection)[1]


def write(want: Back | None, *, anew: bool = False) -> tuple[world.Refusal, ...]:
    """Makes it so; the table in any case `anew`, since it may say what it is not.

    The marks come before what needs them, and go after it.
    """
    index = _index(want.link) if want is not None else 0
    if want is not None and not index:
        return (_not_yet(want.link),)
    back, _, _ = _found()
    try:
        if want is not None and (anew or back != want):
            _run(back_text.text(want))
        refused = tuple(_routed(want, index))
        if want is None and back is not None:
            _run(back_text.REMOVE)
    except errors.KernelRefused as exc:
        return (world.Refusal(vip=None, sentence=exc.sentence, hint=exc.hint, code="SDD-LB-NFT"),)
    return refused


def _run(text: str) -> None:
    with nft.Nft() as rules:
        rules.run(text)


def _found() -> tuple[Back | None, frozenset[_Rule], frozenset[_Line]]:
    with netlink.Connection(netlink.NETFILTER) as connection:
        back = _table(connection)
    with netlink.Connection(netlink.ROUTE, strict=True) as connection:
        return back, mark_routes.read_rules(connection), mark_routes.read_routes(connection)


def _table(connection: netlink.Connection) -> Back | None:
    if not nft_netlink.present(connection, TABLE):
        return None
    comments = nft_netlink.comments(nft_netlink.rules(connection, of=TABLE))
    back = back_text.back_of(comments)
    if back is None:
        return DAMAGED
    chains = back_text.chains_of(back)
    others = (back_text.RECORD,)
    flaws = nft_netlink.frame_flaws(connection, chains, comments, others, TABLE)
    return DAMAGED if any(flaws) else back


def _routed(want: Back | None, index: int) -> Iterator[world.Refusal]:
    rules = mark_routes.rules(want) if want is not None else frozenset()
    routes = mark_routes.routes(want, index) if want is not None else frozenset()
    with netlink.Connection(netlink.ROUTE, strict=True) as connection:
        have = (mark_routes.read_rules(connection), mark_routes.read_routes(connection))
        gone: list[mark_routes.Ours] = [*(have[0] - rules), *(have[1] - routes)]
        come: list[mark_routes.Ours] = [*(routes - have[1]), *(rules - have[0])]
        for each, result in mark_routes.change(connection, gone, come):
            yield world.Refusal(
                vip=None,
                sentence=f"the way back {_words(each)} is refused: {result}",
                hint="its link may not be up yet; it is tried again",
                code=NOT_YET,
            )


def _words(of: mark_routes.Ours) -> str:
    match of:
        case mark_routes.Rule(to=None):
            return f"by the rule for mark {of.mark:#x}"
        case mark_routes.Rule():
            return f"by the rule for {of.to}"
        case mark_routes.Route():
            return f"by {of.gateway} in table {of.table}"
        case mark_routes.Near():
            return f"to {of.to} from {of.source}"


def _index(link: str) -> int:
    """The number of the link, 0 while there is none."""
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return 0


def _not_yet(link: str) -> world.Refusal:
    return world.Refusal(
        vip=None,
        sentence=f"there is no link {link} for the way back",
        hint="it is tried again",
        code=NOT_YET,
    )
