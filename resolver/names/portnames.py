"""What the ports of well-known services are called in SRV names (IANA's registry, RFC 6335).

The file /etc/services says the same, but not the same on every host: names would differ by node.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TCP, UDP = "tcp", "udp"
_BOTH: Final = {
    "domain": 53,
    "kerberos": 88,
    "ldap": 389,
    "sip": 5060,
    "nfs": 2049,
}
_TCP: Final = {
    "ftp": 21,
    "ssh": 22,
    "smtp": 25,
    "http": 80,
    "pop3": 110,
    "imap": 143,
    "https": 443,
    "rtsp": 554,
    "submission": 587,
    "ipp": 631,
    "ldaps": 636,
    "domain-s": 853,
    "imaps": 993,
    "pop3s": 995,
    "mqtt": 1883,
    "etcd-client": 2379,
    "etcd-server": 2380,
    "mysql": 3306,
    "sips": 5061,
    "xmpp-client": 5222,
    "xmpp-server": 5269,
    "postgresql": 5432,
    "amqps": 5671,
    "amqp": 5672,
    "redis": 6379,
    "http-alt": 8080,
    "secure-mqtt": 8883,
    "memcache": 11211,
    "mongodb": 27017,
}
_UDP: Final = {"tftp": 69, "ntp": 123, "snmp": 161, "syslog": 514, "coap": 5683}
NAMES: Final[Mapping[tuple[str, int], str]] = MappingProxyType(
    {(TCP, port): name for name, port in (_TCP | _BOTH).items()}
    | {(UDP, port): name for name, port in (_UDP | _BOTH).items()}
)


def labels(protocol: str, port: int) -> tuple[str, ...]:
    """The labels `_NUMBER` and, for a well-known service, `_NAME`."""
    name = NAMES.get((protocol, port))
    return (f"_{port}", f"_{name}") if name else (f"_{port}",)
