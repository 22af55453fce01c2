"""What an older database holds of one object takes the names of nobody else."""

from dataclasses import replace
from ipaddress import ip_address

from resolver.desired import NOTHING, desired
from resolver.files.upstreams import DaemonDns
from resolver.message import wire
from sdd.model import ids, record, service
from sdd.state import ClusterState, Gone, Put
from tests import resolver_states as states

BAD = states.box("bad", extra=(("fe", "fe80::1%eth0"),))
GOOD = states.box("good")
LAB = states.net("lab")
PLUGS = (states.plug("bad", "lab", "10.44.1.9/24"), states.plug("good", "lab", "10.44.1.8/24"))
POISONED = states.state(LAB, BAD, GOOD, *PLUGS)
DAEMON = DaemonDns()
VIP = service.Service(
    id=ids.ServiceId(states.identity("web")),
    name="web",
    network=LAB.id,
    number=1,
    vips=(ip_address("fd31::77%a"),),
)
RECORD = record.Record(
    id=ids.RecordId(states.identity("record")),
    network=LAB.id,
    name="six",
    kind=record.RecordType.AAAA,
    data="fe80::1%eth0",
)


def _next(now: ClusterState, *changes: Put | Gone) -> ClusterState:
    return now.apply(ids.Revision(now.revision + 1), changes)


def test_one_sandbox_without_a_view_leaves_those_of_others() -> None:
    want = desired(POISONED, states.NODE, DAEMON)
    (failure,) = want.failures
    assert (failure.subject, failure.code) == (BAD.id, "SDD-OBJECT-DATA")
    assert "sandbox 'bad' has no name service" in failure.sentence
    alone = desired(states.state(LAB, GOOD, PLUGS[1]), states.NODE, DAEMON)
    assert want.snapshot.views == alone.snapshot.views
    assert want.texts == alone.texts
    assert want.spots == alone.spots
    assert wire.to_wire("good.lab") in want.snapshot.tables[LAB.id].names


def test_its_failure_stays_as_long_as_it_does() -> None:
    want = desired(POISONED, states.NODE, DAEMON)
    later = _next(POISONED, Put(states.box("third")))
    assert desired(later, states.NODE, DAEMON, want).failures == want.failures
    mended = _next(later, Put(replace(BAD, extra_hosts=())))
    after = desired(mended, states.NODE, DAEMON, desired(later, states.NODE, DAEMON, want))
    assert not after.failures
    assert str(BAD.id) in after.snapshot.views


def test_a_service_and_a_record_without_names_leave_the_table_to_others() -> None:
    clean = states.state(LAB, GOOD, PLUGS[1])
    before = desired(clean, states.NODE, DAEMON)
    spoiled = _next(clean, Put(VIP), Put(RECORD))
    for known in (NOTHING, before):
        want = desired(spoiled, states.NODE, DAEMON, known)
        assert {each.subject for each in want.failures} == {VIP.id, RECORD.id}
        assert want.snapshot.tables[LAB.id].names == before.snapshot.tables[LAB.id].names
    again = desired(_next(spoiled, Put(states.box("third"))), states.NODE, DAEMON, want)
    assert again.failures == want.failures
    gone = _next(spoiled, Gone(service.Service, VIP.id), Gone(record.Record, RECORD.id))
    assert not desired(gone, states.NODE, DAEMON, again).failures
