"""How the members of a service are checked, as people and scripts see it."""

from typing import Any

from sdd.model.service import HealthCheck

Json = dict[str, Any]


def of(check: HealthCheck) -> Json:
    """Without what the kind of check does not use."""
    used = {
        "Port": check.port,
        "Host": check.host,
        "Path": check.path,
        "Send": check.send,
        "Expect": check.expect,
        "TTL": check.ttl_s,
        "Command": check.command,
    }
    return {
        "Kind": check.kind.value,
        **{key: value for key, value in used.items() if value},
        "Interval": check.interval_s,
        "FastInterval": check.fast_s,
        "Timeout": check.timeout_s,
        "Rise": check.rise,
        "Fall": check.fall,
    }
