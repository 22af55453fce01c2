"""Translators: (network, endpoint) → wanted links and addresses. Pure, one file per driver."""

from collections.abc import Mapping
from types import MappingProxyType

from netns.drivers import bridge, child, contract
from sdd.model.network import Driver

TRANSLATORS: Mapping[Driver, contract.Translator] = MappingProxyType(
    {
        Driver.BRIDGE: bridge.TRANSLATOR,
        Driver.MACVLAN: child.TRANSLATOR,
        Driver.IPVLAN: child.TRANSLATOR,
    }
)
