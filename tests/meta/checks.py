"""The checks of the references on names, networks and balancing: what shows each, what is no case of ours, what is open.

The ids are those of docker.md §3.1 to §3.6, §3.9 and §3.10 (C…, X…), of peers.md §4 on bridges,
macvlan and addresses (peers-…), of dns_and_users.md A8, to which the rows of A4 lead, and of
balancing.md §9 (B9). A test is found by its name: `C35` in `test_C35_ptr_…`, `A8-34` in
`test_A8_34_35_the_limit_…`, `A8-43` also in `test_A8_41_to_50_…`, `B9-7` in `test_B9_07_…`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DNS: Final = (
    1,
    2,
    4,
    5,
    7,
    8,
    10,
    11,
    13,
    14,
    16,
    17,
    19,
    20,
    22,
    23,
    25,
    26,
    28,
    29,
    31,
    32,
    34,
    35,
)
FILES: Final = (37, 38, 40, 41, 43, 44, 46, 47, 49, 50, 52, 53, 55)
NETWORKS: Final = (
    *(56, 58, 59, 61, 62, 64, 65, 67, 68, 70, 71, 73, 74, 76, 77, 79, 80),
    *(82, 83, 85, 86, 88, 89, 91, 92, 94, 95, 97, 98, 100, 101, 103, 104, 106),
    *(107, 109, 110, 112, 113, 115, 116, 118, 119, 121),
)
ERRORS: Final = tuple(range(146, 156))
PEERS: Final = (
    *(38, 40, 41, 43, 44, 46, 47, 49, 50, 52, 53, 55, 56, 58, 59, 61, 62),
    *(64, 65, 67, 68, 70, 71, 73, 74, 76, 100, 107),
)
SERVICES: Final = (122, 124, 125, 127, 128, 130, 131, 133, 134)
OURS: Final = (2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 20)
B9: Final = (
    *(1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25),
    *(26, 28, 29, 31, 32, 34, 35, 37, 38, 40, 41, 43, 44, 46, 47, 49, 50, 52, 53),
)
A8: Final = (
    *(1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25),
    *(26, 28, 29, 31, 32, 34, 35, 36, 37, 38, 40),
    *(41, 43, 44, 46, 47, 49, 50),
    *(51, 52, 53, 55, 56, 58, 59),
    *(61, 62, 64, 65, 67, 68, 70, 71),
    *(73, 74, 76, 77, 79, 80),
    *(82, 83, 85, 86, 88, 89, 91, 92, 94, 95, 97, 98),
    *(100, 101, 103, 104),
    *(106, 107, 109, 110, 112, 113, 115, 116, 118, 119, 120),
)
IDS: Final = frozenset(
    (
        *(f"C{number}" for number in (*DNS, *FILES, *NETWORKS, *SERVICES, *ERRORS)),
        *(f"peers-{number}" for number in PEERS),
        *(f"X{number}" for number in OURS),
        *(f"A8-{number}" for number in A8),
        *(f"B9-{number}" for number in B9),
    )
)

# Cases that cannot arise here, and why.
NONE_OF_OURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "C14": "a service's name is unique on its network, so no two share it and its address",
        "C26": "there are no networks of another scope beside the local ones",
        "C29": "there are no links; an alias belongs to the network",
        "C61": "a restart touches no link and no address, so no neighbour's cache can be wrong",
        "C49": "a sandbox never shares the host's namespace",
        "peers-41": "there are no static routes to be asked for; internal networks have no default one",
        "peers-46": "the daemon gives the addresses; there is no other way to choose",
        "peers-52": "there is no DHCP to be refused",
        "peers-53": "a bridge has no VLANs of its own; VLANs are parents of macvlan and ipvlan",
        "peers-56": "an MTU is what the option says, else the kernel's own, as in Docker",
        "peers-62": "there are no static routes, so no wrong ones",
        "peers-70": "the DNS server listens inside the sandbox: no packet of it meets the host's rules",
        "B9-22": "a virtual address forwards every port as it is; other numbers are of published ports",
        "C133": "balancing is derived from one state at a revision: there is no order of table events",
        "A8-103": "there is no page that shows names",
        "A8-118": "there is no encryption yet that could be asked for",
    }
)

# What no test shows yet, and what is missing.
OPEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "B9-37": "published ports do not lead to other nodes yet",
        "B9-40": "published ports do not lead to other nodes yet",
        "B9-44": "published ports do not lead to other nodes yet",
        "C130": "there are no overlay networks yet",
        "C131": "there are no overlay networks yet",
        "C134": "there are no overlay networks yet",
    }
)

# Speed and memory, which fail no test: a benchmark prints what was promised beside what it found.
MEASURED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "A8-76": "tests/bench/daemon/bench_thousand.py",
        "A8-79": "tests/bench/dns/bench_ramp.py",
    }
)
