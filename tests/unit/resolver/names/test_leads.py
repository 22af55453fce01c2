"""To which names added records lead: those of their own network, whatever others call theirs."""

import dns.rcode
import pytest

from sdd.state import ClusterState
from tests.unit.resolver.names.test_added import LAB, OUT, added, answers, ask, beside, more, town
from tests.unit.resolver.questions import box, end


def two_networks(*texts: str, web: bool = True) -> ClusterState:
    """`c` is on both, `lab` first, where a sandbox is called `web`; on `out` it is an alias."""
    other, named = box("other"), box("web")
    state = more(more(town(), named), end(named, LAB, "10.1.0.3/24", aliases=("y.apps",)))
    state = more(more(state, other), end(other, OUT, "10.2.0.3/24", aliases=("web",) * web))
    for text in texts:
        state = more(state, added(text, OUT.id))
    return state


def test_an_alias_of_one_network_leads_to_what_that_one_calls_so() -> None:
    state = two_networks("www CNAME web", "_http._tcp.api SRV 0 10 8080 web")
    assert answers(state, "web") == ["web. 5 IN A 10.1.0.3"]
    assert answers(state, "www") == ["www. 5 IN CNAME web.out.", "web.out. 5 IN A 10.2.0.3"]
    said, _ = beside(state, "_http._tcp.api")
    assert [each.to_text() for each in said.answer] == [
        "_http._tcp.api. 5 IN SRV 0 10 8080 web.out."
    ]
    assert [each.to_text() for each in said.additional] == ["web.out. 5 IN A 10.2.0.3"]


def test_when_the_target_of_an_alias_is_gone_nobody_else_is_asked_for_it() -> None:
    state = two_networks("www CNAME web", "_http._tcp.api SRV 0 10 8080 web", web=False)
    said = ask(state, "www")
    assert said.rcode() == dns.rcode.NXDOMAIN
    assert [each.to_text() for each in said.answer] == ["www. 5 IN CNAME web.out."]
    assert not beside(state, "_http._tcp.api")[0].additional


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("x.apps", "x.apps.out."),  # a record
        ("y.apps", "y.apps.out."),  # a name that the wildcard has there, and a sandbox elsewhere
        ("other.out", "other.out."),
        ("gone.out", "gone.out."),
        ("out", "out.out."),
        ("localhost", "localhost."),
        ("www.example", "www.example."),
        ("web.lab", "web.lab."),
        ("a" * 63, f"{'a' * 63}.out."),
        ("tasks.gone", "tasks.gone.out."),  # a service's, when it has gone or before it comes
        ("tasks.gone.out", "tasks.gone.out."),
        ("_http._tcp.gone", "_http._tcp.gone.out."),
        ("_1._sctp.gone", "_1._sctp.gone.out."),
        ("tasks.org", "tasks.org."),  # a public domain
        ("_sip._udp.org", "_sip._udp.org."),
        ("tasks.example.com", "tasks.example.com."),
        ("_sip._tcp.example.com", "_sip._tcp.example.com."),
        ("_dmarc.gone", "_dmarc.gone."),
        ("http._tcp.gone", "http._tcp.gone."),
    ],
)
def test_a_target_is_a_name_of_the_records_network_or_of_others(target: str, told: str) -> None:
    state = two_networks(f"www CNAME {target}", "x.apps A 10.2.0.9", "*.apps A 10.2.0.8")
    assert answers(state, "www", "CNAME") == [f"www. 5 IN CNAME {told}"]


def test_a_name_too_long_for_the_networks_behind_it_stays_as_it_is() -> None:
    long = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 59))
    state = two_networks(f"www CNAME {long}", f"{long} A 10.2.0.9")
    assert answers(state, "www", "CNAME") == [f"www. 5 IN CNAME {long}."]
