"""Laws of the pure parts at sdd's edge of the resolver."""

from hypothesis import given
from hypothesis import strategies as st

from resolver import protocol
from resolver.control import difference
from resolver.files import resolvconf

NAMES = st.dictionaries(
    st.binary(min_size=1, max_size=255),
    st.dictionaries(
        st.integers(0, 65535), st.lists(st.binary(max_size=300), max_size=8), max_size=3
    ),
    max_size=60,
)


@given(st.text())
def test_A8_98_any_text_is_parsed_to_values_that_render_and_parse_again(text: str) -> None:
    found = resolvconf.parse(text)
    wanted = resolvconf.Wanted(servers=found.servers, search=found.search, options=found.options)
    again = resolvconf.parse(resolvconf.render(wanted))
    assert (again.servers, again.search, again.options) == (
        found.servers,
        found.search,
        found.options,
    )


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=30), max_size=10))
def test_lines_of_the_right_kind_with_hostile_values(values: list[str]) -> None:
    lines = "\n".join(
        f"{keyword} {value}"
        for value in values
        for keyword in ("nameserver", "search", "options", "domain")
    )
    found = resolvconf.parse(lines)
    everything = (*found.search, *found.options, *found.invalid)
    assert all(each.isprintable() and " " not in each for each in everything)


@given(NAMES, st.booleans())
def test_parts_fit_and_together_are_the_table(names: protocol.Names, shared: bool) -> None:
    if shared:
        names = dict.fromkeys(names, next(iter(names.values()), {}))
    together: protocol.Names = {}
    for part in difference.table_parts("t" * 64, names):
        assert len(protocol.encode(part)) <= protocol.MOST_BYTES
        assert 0 < len(part.groups) <= protocol.GROUPS_A_PART
        assert not together.keys() & {name for those, _ in part.groups for name in those}
        together |= {name: entry for those, entry in part.groups for name in those}
    assert together == names
