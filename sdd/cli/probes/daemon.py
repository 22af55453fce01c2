"""The daemon behind the socket: does it answer, is all as wanted, is it of the same release."""

from collections.abc import Iterator
from typing import Any

from sdd import errors
from sdd.cli.probes.finding import Finding, Verdict, passed
from sdd.client import Client


def findings(client: Client, release: str) -> Iterator[Finding]:
    """One finding per thing asked; only one when nobody answers."""
    try:
        status = client.get("/v1/status")
    except errors.SddError as error:
        yield Finding(
            "daemon.socket",
            Verdict.FAIL,
            error.sentence,
            why="nothing can be made or changed",
            now="names and virtual IPs that exist go on working",
            fix=error.hint,
        )
        return
    yield passed("daemon.socket", f"sdd {status['Version']} answers, state {status['State']}")
    yield state(status)
    if status["Version"] == release:
        yield passed("daemon.version", f"sdctl and sdd are both {release}")
    else:
        yield Finding(
            "daemon.version",
            Verdict.WARN,
            f"sdctl is {release}, sdd is {status['Version']}",
            why="they may understand each other only in part",
            fix="systemctl restart sdd",
            commands=("systemctl restart sdd",),
        )


def state(status: dict[str, Any]) -> Finding:
    """Whether every backend has made what it should."""
    failures = [each for backend in status["Backends"] for each in backend["Failures"]]
    if failures:
        return Finding(
            "daemon.state",
            Verdict.FAIL,
            f"{len(failures)} objects are not as wanted; the first: {failures[0]['Error']}",
            why="what depends on them does not work",
            now="sdd tries again by itself",
            fix=failures[0]["Hint"] or "sdctl status lists them",
        )
    silent = [each["Name"] for each in status["Backends"] if not each["Reported"]]
    if silent:
        return Finding("daemon.state", Verdict.WARN, f"still at the first pass: {silent}")
    return passed("daemon.state", "everything is as wanted")
