"""What a health check must be to work. Pure: a check in, the fault as a phrase out."""

from sdd import errors
from sdd.alloc import names
from sdd.model.service import CheckKind, HealthCheck

PORT_MAX = 65535
RUN_MAX = 100  # results in a row; more would be a typing error
TEXT_MAX = 512  # of what is sent or expected: fits one datagram with room
TTL_MAX_S = 24 * 3600.0
STATUS_MIN, STATUS_MAX = 100, 599
PACE_MIN_S = 0.02  # between checks: more often is load, for a failure is then met in no time anyway

_PORTLESS = frozenset({CheckKind.NONE, CheckKind.TTL, CheckKind.EXEC})
_HTTP = frozenset({CheckKind.HTTP, CheckKind.HTTPS})


def fault(check: HealthCheck) -> str:
    """What is wrong with `check`, as the end of a sentence; empty when it can work."""
    return next((words for words in (_target(check), _talk(check), _times(check)) if words), "")


def _target(check: HealthCheck) -> str:
    if check.kind not in _PORTLESS and not 1 <= check.port <= PORT_MAX:
        return f"port {check.port} is not between 1 and {PORT_MAX}"
    if check.kind in _HTTP and not (check.path.startswith("/") and _is_plain(check.path)):
        return (
            f"the path {errors.quoted(check.path)} does not start with a slash, or has blanks or"
            " other characters than ASCII in it, which a URL writes as %20"
        )
    if check.host and not _is_host(check.host):
        return f"{errors.quoted(check.host)} is no host name"
    return _lack(check)


def _lack(check: HealthCheck) -> str:
    """What its kind cannot do without."""
    match check.kind:
        case CheckKind.DNS if not check.host:
            return "it does not say which name to ask for"
        case CheckKind.EXEC if not check.command.strip() or "\0" in check.command:
            return "it does not say which command to run"
        case CheckKind.TTL if not 0 < check.ttl_s <= TTL_MAX_S:
            return f"a ttl of {check.ttl_s:g} s is not between 0 and {TTL_MAX_S:g} s"
        case _:
            return ""


def _talk(check: HealthCheck) -> str:
    texts = (check.send, check.expect, check.path, check.command)
    if max(map(len, texts)) > TEXT_MAX:
        return f"path, send, expect and command have at most {TEXT_MAX} characters"
    if not STATUS_MIN <= check.status_low <= check.status_high <= STATUS_MAX:
        return f"{check.status_low} to {check.status_high} is no range of HTTP statuses"
    return ""


def _times(check: HealthCheck) -> str:
    if min(check.interval_s, check.fast_s) < PACE_MIN_S:
        return f"interval and fast interval must be at least {PACE_MIN_S:g} seconds"
    if check.timeout_s <= 0:
        return "the timeout must be more than 0 seconds"
    if not (1 <= check.rise <= RUN_MAX and 1 <= check.fall <= RUN_MAX):
        return f"rise and fall must be between 1 and {RUN_MAX}"
    return ""


def _is_plain(text: str) -> bool:
    # Blanks and line ends would be read as the end of the request line.
    return all("!" <= each <= "~" for each in text)


def _is_host(text: str) -> bool:
    try:
        names.checked_host("host", text)
    except errors.Invalid:
        return False
    return True
