"""Checks and what else enters namespaces do not wait for each other."""

import asyncio
import contextlib
import socket
import threading
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import dial
from lb.checks import Check
from lb.dial import Result
from lb.unmade import Unmade
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck

pytestmark = pytest.mark.kernel

PATIENT_S = 60.0


async def test_a_check_from_the_host_waits_for_no_thread() -> None:
    with (
        contextlib.closing(namespaces.Namespaces(workers=1)) as doors,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        how = HealthCheck(kind=CheckKind.TCP, port=server.getsockname()[1], timeout_s=PATIENT_S)
        check = Check(
            service=ids.ServiceId("web"),
            endpoint=ids.EndpointId("one"),
            address=ip_address("127.0.0.1"),
            how=how,
            joined=0.0,
        )
        go_on = threading.Event()
        busy = asyncio.ensure_future(doors.run("", go_on.wait))  # noqa: TID251 - awaited below
        try:
            dialled = dial.through(doors)
            passed = Result(passed=True, reason=f"port {how.port} accepts connections")
            assert await dialled(check) == passed
            elsewhere = replace(check, inside=namespaces.OWN)
            hasty = replace(elsewhere, how=replace(how, timeout_s=0.5))
            late = Unmade("not begun within 0.5 s")
            assert await dialled(hasty) == late, "the one thread is busy"
        finally:
            go_on.set()
            await busy
        assert await dialled(elsewhere) == passed
