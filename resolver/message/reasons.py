"""Why a question has no good answer: the extended errors of our replies (RFC 8914)."""

from typing import Final

from resolver.message import wire

OVERLOADED: Final = wire.Explain(0, "too many questions are under way")
LOOP: Final = wire.Explain(0, "this question came back: an upstream server asks us")
NO_UPSTREAM: Final = wire.Explain(0, "no upstream server may be asked from this sandbox")
UNREACHABLE: Final = wire.Explain(22, "no upstream server answered")  # RFC 8914 §4.23
FAILED_BEFORE: Final = wire.Explain(13, "no upstream server answered a moment ago")
STALE: Final = wire.Explain(3, "the upstream servers do not answer")
