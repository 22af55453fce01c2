"""Something that happened to an object, as `sdctl events` tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sdd.model.network import EMPTY


class Kind(StrEnum):
    """What it happened to; Docker's types."""

    NETWORK = "network"
    SANDBOX = "sandbox"
    SERVICE = "service"
    DAEMON = "daemon"


class Action(StrEnum):
    """What happened; Docker's words where Docker has the thing."""

    CREATE = "create"
    DESTROY = "destroy"
    UPDATE = "update"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    JOIN = "join"
    LEAVE = "leave"
    HEALTH = "health_status"
    START = "start"
    RELOAD = "reload"
    REPAIR = "repair"
    LOST = "lost"
    WORKER_START = "worker_start"
    WORKER_END = "worker_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`subject` is the object's id; `at` is seconds since the epoch, `number` counts from 1."""

    kind: Kind
    action: Action
    subject: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    at: float = 0.0
    number: int = 0
