"""One thing that is not as it should be, found by looking and without changing anything."""

from dataclasses import dataclass

from sdd.model.progress import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`subject` is the id of the object concerned, empty for the host as a whole."""

    backend: Backend
    subject: str
    says: str
