import dns.rdatatype
import pytest

from resolver.explain import query
from sdd import errors


@pytest.mark.parametrize(("text", "kind"), [("65", "HTTPS"), ("TYPE65", "HTTPS"), ("a", "A")])
def test_a_type_has_a_name_or_a_number(text: str, kind: str) -> None:
    asked = query.question("web", text).question[0]
    assert dns.rdatatype.to_text(asked.rdtype) == kind


@pytest.mark.parametrize(("name", "kind"), [("", "A"), ("a..b", "A"), ("a", "FOO"), ("a", "65536")])
def test_what_is_no_question_is_told(name: str, kind: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        query.question(name, kind)
    assert caught.value.code == "SDD-DNS-QUESTION"
