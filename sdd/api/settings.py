"""DNS settings as `inspect` shows them."""

from typing import Any

from sdd.model import network, sandbox, template


def network_dns(of: network.Network | template.Template) -> dict[str, Any]:
    """Those of a network or a configuration; zones as `ZONE=SERVER`."""
    return {
        "Servers": [str(each) for each in of.dns],
        "Search": list(of.dns_search),
        "ForwardZones": [str(each) for each in of.dns_zones],
    }


def sandbox_dns(of: sandbox.Sandbox) -> dict[str, Any]:
    """Those of a sandbox."""
    return {
        "Servers": [str(each) for each in of.dns.servers],
        "Search": list(of.dns.search),
        "Options": list(of.dns.options),
    }
