"""A port of the host and one of those behind it: how a connection is led straight there. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lb.ports.made import binds
from lb.ports.table import Bind
from sdd.model import endpoint, service
from sdd.model.network import IPAddress


class Way(NamedTuple):
    """By `bind` to port `target` of `backend`.

    Precise, because a member may serve others at the same port: who came for these is not meant.
    """

    bind: Bind
    backend: IPAddress
    target: int


def ways(svc: service.Service, ends: Iterable[endpoint.Endpoint]) -> Iterator[Way]:
    """By each port of `svc` to the members at `ends`.

    A port that leads through ingress leads to no member straight: nobody is found there.
    """
    hosts = [host for end in ends for host in end.hosts]
    for each in svc.ports:
        for bind in binds(each, {host.version for host in hosts}):
            for host in hosts:
                if host.version == bind.version:
                    yield Way(bind, host, each.target)
