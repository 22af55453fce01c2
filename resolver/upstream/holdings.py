"""For whom the answers of a cache were fetched, and so whose go first when room is wanted.

In: keys with their bytes, by holder. Out: the key to give up, of whoever holds the most bytes, so
that one who asks for thousands of names pushes out his own. What somebody leaves behind is
nobody's, which is one holder more.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from resolver.upstream.ranking import Ranking

NOBODY: Final = ""
K = TypeVar("K", bound=Hashable)


class Holdings(Generic[K]):
    """The keys of each holder and their bytes, the least recently used first.

    Bytes alone decide: each entry has its overhead in them, so they count entries too. Whoever has
    changed is ranked only once room is wanted: mostly there is some.
    """

    def __init__(self) -> None:
        self._keys: dict[str, OrderedDict[K, int]] = {}
        self._bytes: Counter[str] = Counter()
        self._largest = Ranking()  # by the bytes, below zero
        self._moved: set[str] = set()  # since they were ranked, of those who hold something

    def __len__(self) -> int:
        """How many hold something."""
        return len(self._keys)

    def take(self, holder: str, key: K, size: int) -> None:
        """`holder` has a new one."""
        keys = self._keys.get(holder)
        if keys is None:
            keys = self._keys[holder] = OrderedDict()
        keys[key] = size
        self._bytes[holder] += size
        self._moved.add(holder)

    def use(self, holder: str, key: K) -> None:
        """Of those of `holder` it is given up last, if he has it."""
        try:  # noqa: SIM105 - `suppress` takes longer than all else here
            self._keys[holder].move_to_end(key)
        except KeyError:  # a look before it would hash the key once more for each answer
            pass

    def drop(self, holder: str, key: K) -> int:
        """The bytes of what `holder` has no more."""
        keys = self._keys[holder]
        size = keys.pop(key)
        if keys:
            self._bytes[holder] -= size
            self._moved.add(holder)
        else:
            del self._keys[holder], self._bytes[holder]
            self._forget(holder)
        return size

    def leave(self, holder: str) -> tuple[K, ...]:
        """Whatever `holder` has is nobody's from now on; it is given up after all that is."""
        if holder == NOBODY:
            return tuple(self._keys.get(holder, ()))
        left = self._keys.pop(holder, OrderedDict())
        if left:
            self._keys.setdefault(NOBODY, OrderedDict()).update(left)
            self._bytes[NOBODY] += self._bytes.pop(holder)
            self._moved.add(NOBODY)
            self._forget(holder)
        return tuple(left)

    def most(self) -> int:
        """The bytes of whoever holds most; 0 when nobody holds anything."""
        return self._bytes.get(self._first(), 0)

    def first(self) -> K:
        """What is given up next. Raises LookupError when there is nothing.

        It takes a time that grows with the logarithm of how many holders there are.
        """
        holder = self._first()
        if holder not in self._keys:
            raise LookupError("nobody holds anything")
        return next(iter(self._keys[holder]))

    def _first(self) -> str:
        for each in self._moved:
            self._largest.put(each, -self._bytes[each])
        self._moved.clear()
        return self._largest.first() or NOBODY

    def _forget(self, holder: str) -> None:
        self._moved.discard(holder)
        self._largest.drop(holder)
