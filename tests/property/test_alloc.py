"""Laws of the allocators: never twice, never outside, never reserved, all freed can be given."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from sdd.alloc import addresses, ifnames, macs, numbers, pools
from sdd.model import ids, network
from sdd.model.subnet import overlaps

V4_SUBNETS = st.builds(
    lambda base, size: IPv4Network((base, size), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(20, 32),
)
V6_SUBNETS = st.builds(
    lambda base, size: IPv6Network((base, size), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(116, 128),
)
SUBNETS = V4_SUBNETS | V6_SUBNETS


@st.composite
def pool_of(draw: st.DrawFn) -> network.Pool:
    subnet = draw(SUBNETS)
    if draw(st.booleans()):
        size = draw(st.integers(subnet.prefixlen, subnet.max_prefixlen))
        at = draw(st.integers(int(subnet.network_address), int(subnet.broadcast_address)))
        ip_range = type(subnet)((at, size), strict=False)
        return network.Pool(subnet=subnet, ip_range=ip_range)
    return network.Pool(subnet=subnet)


@given(pool_of(), st.data())
def test_given_one_by_one_all_are_different_inside_and_usable(
    pool: network.Pool, data: st.DataObject
) -> None:
    span = addresses.usable(pool)
    count = data.draw(st.integers(0, min(span.size, 40)))
    taken: set[network.IPAddress] = set()
    last = None
    for _ in range(count):
        found = addresses.next_free(pool, taken, last)
        assert found is not None
        assert found not in taken
        assert found in pool.subnet
        assert pool.ip_range is None or found in pool.ip_range
        assert int(found) not in addresses.reserved_of(pool.subnet)
        taken.add(found)
        last = found
    assert addresses.free_count(pool, taken) == span.size - count


@given(V4_SUBNETS.filter(lambda n: n.prefixlen >= 26), st.integers(0, 2**32 - 1))
def test_every_usable_address_is_given_exactly_once_then_none(
    subnet: IPv4Network, cursor: int
) -> None:
    pool = network.Pool(subnet=subnet)
    taken: set[network.IPAddress] = set()
    last: network.IPAddress | None = ip_address(cursor)
    while (found := addresses.next_free(pool, taken, last)) is not None:
        assert found not in taken
        taken.add(found)
        last = found
    reserved = addresses.reserved_of(subnet)
    assert taken == {each for each in subnet if int(each) not in reserved}


@given(V4_SUBNETS.filter(lambda n: 24 <= n.prefixlen <= 29), st.data())
def test_a_freed_address_comes_last(subnet: IPv4Network, data: st.DataObject) -> None:
    pool = network.Pool(subnet=subnet)
    size = addresses.usable(pool).size
    held = data.draw(st.integers(0, size - 1))
    taken: set[network.IPAddress] = set()
    last = None
    for _ in range(held):
        last = addresses.next_free(pool, taken, last)
        assert last is not None
        taken.add(last)
    freed = addresses.next_free(pool, taken, last)
    assert freed is not None
    again = [addresses.next_free(pool, taken, freed)]
    while (found := addresses.next_free(pool, taken, again[-1])) != freed:
        again.append(found)
    assert len(set(again)) == len(again)
    assert set(again) | {freed} == {ip for ip in subnet.hosts() if ip not in taken}


@given(
    st.lists(SUBNETS, max_size=12),
    st.sampled_from([0, 16, 20, 24, 28]),
    st.sampled_from([4, 6]),
)
def test_a_chosen_subnet_overlaps_nothing_and_lies_in_its_template(
    used: list[network.IPNetwork], size: int, version: int
) -> None:
    templates = (*pools.DEFAULT_POOLS, pools.ula(ids.NodeId("n")))
    size = 0 if version == 6 else size
    found = pools.first_free(templates, used, version=version, size=size)
    assert found is not None
    assert found.version == version
    assert pools.overlap(found, used) is None
    assert any(pools.overlap(found, [t.base]) for t in templates if t.base.version == version)
    assert size in (0, found.prefixlen)


@given(st.data())
def test_templates_give_each_of_their_pieces_once(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 5))
    template = pools.PoolTemplate(base=IPv4Network("10.8.0.0/16"), size=16 + size)
    given_: list[network.IPNetwork] = []
    while (found := pools.first_free((template,), given_, version=4)) is not None:
        given_.append(found)
    assert len(given_) == template.pieces
    assert given_ == list(template.base.subnets(new_prefix=template.size))
    freed = data.draw(st.sampled_from(given_))
    rest = [each for each in given_ if each != freed]
    assert pools.first_free((template,), rest, version=4) == freed


@given(st.sets(st.integers(1, 40)))
def test_the_lowest_free_number(taken: set[int]) -> None:
    number = numbers.lowest_free("service", taken.__contains__)
    assert number not in taken
    assert all(lower in taken for lower in range(1, number))


@given(st.sets(st.integers(0, 20)))
def test_the_first_free_link_name(taken: set[int]) -> None:
    name = ifnames.first_free({f"eth{n}" for n in taken} | {"lo"})
    number = int(name.removeprefix("eth"))
    assert number not in taken
    assert all(lower in taken for lower in range(number))


@given(st.binary(min_size=5, max_size=5))
def test_a_random_mac_is_local_and_unicast(entropy: bytes) -> None:
    mac = macs.of((), entropy)
    assert macs.checked(mac) == mac
    assert int(mac[:2], 16) & 3 == 2


@given(
    st.lists(
        SUBNETS | st.builds(lambda n: n.supernet(new_prefix=max(n.prefixlen - 8, 0)), SUBNETS)
    ),
    st.data(),
)
def test_the_first_free_subnet_is_that_of_counting_through(
    used: list[network.IPNetwork], data: st.DataObject
) -> None:
    base = data.draw(SUBNETS)
    size = data.draw(st.integers(base.prefixlen, min(base.max_prefixlen, base.prefixlen + 6)))
    pieces: list[network.IPNetwork] = list(base.subnets(new_prefix=size))
    used = [*used, *data.draw(st.lists(st.sampled_from(pieces)))]
    free = [each for each in pieces if not any(overlaps(each, one) for one in used)]
    template = pools.PoolTemplate(base=base, size=size)
    found = pools.first_free([template], used, version=base.version)
    assert found == (free[0] if free else None)
