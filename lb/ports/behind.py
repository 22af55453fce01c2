"""What is behind ports of one publisher that differ only by their numbers."""

from dataclasses import dataclass

from lb.ports.table import Bind, Entry
from lb.table import Backend
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The fields of `Entry` of these names, for one IP version; nobody without backends."""

    backends: tuple[Backend, ...] = ()
    masked: frozenset[IPAddress] = frozenset()
    strange: frozenset[IPAddress] = frozenset()
    devices: frozenset[str] = frozenset()

    def entry(
        self,
        bind: Bind,
        subject: str,
        target: int,
        *,
        scheduler: Scheduler = Scheduler.MH,
        persistence_s: int = 0,
        is_outward: bool = False,
    ) -> Entry:
        """`bind` of the publisher `subject` leads to `target` of these."""
        return Entry(
            bind=bind,
            subject=subject,
            port=target,
            backends=self.backends,
            masked=self.masked,
            strange=self.strange,
            devices=self.devices,
            scheduler=scheduler,
            persistence_s=persistence_s,
            is_outward=is_outward,
        )
