"""Translators: (network, endpoint) → wanted links and addresses. Pure, one file per driver."""

from collections.abc import Mapping
from types import MappingProxyType

from netns.drivers import bridge, contract
from sdd.model.network import Driver

TRANSLATORS: Mapping[Driver, contract.Translator] = MappingProxyType(
    {Driver.BRIDGE: bridge.TRANSLATOR}
)
