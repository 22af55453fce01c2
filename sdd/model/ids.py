"""Identities: 64 hex characters for objects, NewTypes so that one is never taken for another.

Randomness is passed in; parsing happens at the boundary, the rest of the program trusts.
"""

from typing import NewType

NetworkId = NewType("NetworkId", str)
SandboxId = NewType("SandboxId", str)
EndpointId = NewType("EndpointId", str)
ServiceId = NewType("ServiceId", str)
RecordId = NewType("RecordId", str)
NodeId = NewType("NodeId", str)
Revision = NewType("Revision", int)

NEVER = Revision(0)  # before the first transaction
ID_BYTES = 32
SHORT = 12  # what tables print and link names carry; Docker's length


def from_random(entropy: bytes) -> str:
    """64 hex characters from 32 random bytes.

    An id of digits only would be taken for a number by scripts and by `--pid`, so its first
    character is moved into a..f then.
    """
    if len(entropy) != ID_BYTES:
        raise ValueError(f"an id needs {ID_BYTES} random bytes, got {len(entropy)}")
    text = entropy.hex()
    return text if not text[:SHORT].isdigit() else "abcdef"[entropy[0] % 6] + text[1:]


def short(identity: str) -> str:
    """The first 12 characters, as people see an id."""
    return identity[:SHORT]
