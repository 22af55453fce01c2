"""The reverse names of blocks of addresses, each of which may have a name."""

import re
from typing import Final

# Less than a whole one.
_BLOCK: Final = re.compile(
    rb"(?:\x01[0-9]|\x02[1-9][0-9]|\x03(?:1[0-9][0-9]|2[0-4][0-9]|25[0-5])){1,3}"
    rb"\x07in-addr\x04arpa\x00"
    rb"|(?:\x01[0-9a-f]){1,31}\x03ip6\x04arpa\x00"
)


def is_block(name: bytes) -> bool:
    """Whether it is the reverse name of more than one address."""
    return _BLOCK.fullmatch(name) is not None
