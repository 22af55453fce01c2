"""IPVS of one namespace over one socket: read entries, send requests. Opened inside it."""

import errno
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self

from lb import table
from lb.kernel import (
    ipvs_codec,
    ipvs_entries,
    ipvs_front,
    ipvs_list,
    ipvs_modules,
    ipvs_whole,
)
from lb.kernel.ipvs_codec import Key, Listed
from lb.kernel.ipvs_entries import Entries, Entry
from sdd.linux import netlink
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

# Deleting what is gone is what was wanted: ESRCH for a service, ENOENT for a backend.
FEW = 32  # services that are asked for one by one; more are found faster among all
_GONE = frozenset({errno.ENOENT, errno.ESRCH})


class Session:
    """`family` is the number of the generic netlink family."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._connection = netlink.Connection(netlink.GENERIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def listed(self, sure: Iterable[Key] = ()) -> dict[Key, ipvs_codec.Settings]:
        """All services whose mark is in our range; others are not ours.

        The kernel goes on after the n-th service of all namespaces (`ip_vs_genl_dump_services` of
        ip_vs_ctl.c): when some of another one go meanwhile, it leaves some of ours out. So those
        that are `sure` to be there, unless there are none at all, are asked for once more.
        """
        replies = self._connection.dump(self._family, ipvs_codec.services_request())
        found = {
            key: settings
            for key, settings in ipvs_codec.to_services(replies)
            if ipvs_front.BASE <= key.mark < ipvs_front.LIMIT
        }
        if found and (missing := frozenset(sure) - found.keys()):
            found |= self._each(missing)
        return found

    def asked(self, keys: Iterable[Key]) -> dict[Key, ipvs_codec.Settings]:
        """Those of `keys` that are there."""
        keys = frozenset(keys)
        if len(keys) > FEW:
            return {key: found for key, found in self.listed(keys).items() if key in keys}
        return self._each(keys)

    def _each(self, keys: Iterable[Key]) -> dict[Key, ipvs_codec.Settings]:
        results = self._connection.request(
            ipvs_codec.keyed_request(self._family, ipvs_codec.GET_SERVICE, key) for key in keys
        )
        replies = [reply for result in results for reply in result.replies]
        return dict(ipvs_codec.to_services(replies))

    def backends(self, key: Key) -> tuple[ipvs_codec.Backend, ...]:
        """The backends of a service with the kernel's counters."""
        return tuple(ipvs_codec.to_backends(self._replies(key), key.version))

    def _replies(self, key: Key) -> tuple[netlink.Reply, ...]:
        message = ipvs_codec.keyed_request(self._family, ipvs_codec.GET_BACKEND, key)
        return self._connection.dump(self._family, message.body)

    def entries(
        self,
        services: Mapping[Key, ipvs_codec.Settings],
        listing: ipvs_list.Listing | None = None,
    ) -> dict[Key, Entry]:
        """The services with their backends' weights; `listing` has them, if there is one already.

        More than a few are listed without thresholds: of some of them, others each time, these are
        asked for, so that what hands set is found in the end. So are those that the list has not.
        """
        asked: Collection[Key] = services.keys()
        found: dict[Key, Listed] = {}
        if len(services) > FEW:
            listing = listing or self.listing()
            found |= {key: told for key in services if (told := listing.of(key)) is not None}
            asked = {*random.sample(tuple(services), FEW), *(services.keys() - found.keys())}
        for key in asked:
            found[key] = ipvs_codec.to_listed(self._replies(key), key.version)
        return {
            key: Entry(settings=how, weights=found[key].weights, strays=found[key].strays)
            for key, how in services.items()
        }

    def listing(self) -> ipvs_list.Listing:
        """The backends of all services, without thresholds."""
        return ipvs_list.Listing(ipvs_list.FILE.read_text())

    def make(self, services: Sequence[table.VirtualService]) -> dict[IPAddress, netlink.Result]:
        """New services with their backends; of each that was refused something, the first refusal.

        All requests are sent, whatever happens to some.
        """
        loads = ipvs_whole.loads(self._family, services, self._connection.room())
        refused = self._connection.refusals(loads)
        whose = {ipvs_whole.number(each): each.vip for each in services} if refused else {}
        return {whose[at]: why for at, why in refused.items() if at in whose}

    def change(self, have: Entries, want: Entries) -> dict[Key, netlink.Result]:
        """Turn `have` into `want`; per service the first request that was refused.

        All requests are sent, whatever happens to some.
        """
        changes = tuple(ipvs_entries.changes(self._family, have, want))
        results = self._connection.request(each.message for each in changes)
        refused: dict[Key, netlink.Result] = {}
        for each, result in zip(changes, results, strict=True):
            if result.error and not (each.is_removal and result.error in _GONE):
                refused.setdefault(each.key, result)
        return refused

    def schedulers(self) -> tuple[Scheduler, ...]:
        """Those that this kernel has, loaded now if they are modules: no request lists them.

        Each is tried with the one mark of our range that no service gets, and taken back.
        """
        key = Key(version=4, mark=ipvs_front.BASE)
        gone = ipvs_codec.keyed_request(self._family, ipvs_codec.DELETE_SERVICE, key)
        found = []
        for each in filter(ipvs_modules.is_there, Scheduler):
            asked = ipvs_codec.service_request(
                self._family, ipvs_codec.NEW_SERVICE, key, ipvs_codec.Settings(scheduler=each.value)
            )
            made, _ = self._connection.request((asked, gone))
            if not made.error:
                found.append(each)
        return tuple(found)

    def timeouts(self) -> ipvs_codec.Timeouts:
        """Of this namespace."""
        (result,) = self._connection.request((ipvs_codec.get_timeouts_request(self._family),))
        return ipvs_codec.to_timeouts(result)

    def set_timeouts(self, timeouts: ipvs_codec.Timeouts) -> netlink.Result:
        """For this namespace."""
        request = ipvs_codec.timeouts_request(self._family, timeouts)
        (result,) = self._connection.request((request,))
        return result


def available() -> tuple[int, str] | None:
    """(family, version) of the kernel's IPVS, loaded now if it is a module; None without."""
    with netlink.Connection(netlink.GENERIC) as connection:
        (found,) = connection.request((ipvs_codec.family_request(),))
        family = ipvs_codec.to_family(found)
        if family is None:
            return None
        ipvs_modules.load()
        (info,) = connection.request((ipvs_codec.info_request(family),))
        return family, ipvs_codec.to_version(info)
