"""Associations between records, kept from both ends."""

from collections.abc import Iterable, Mapping

from connectors.emulators.hubspot.catalog import ASSOCIATION_TYPES, INVERSE_TYPE_ID, AssociationType

End = tuple[str, int]  # kind (plural), id


class Links:
    """Who is tied to whom, and in which ways."""

    def __init__(self) -> None:
        self._ties: dict[tuple[str, str], dict[int, dict[int, frozenset[int]]]] = {}

    def tie(self, here: End, there: End, type_ids: Iterable[int]) -> None:
        """Tie two records in these ways, seen from `here`; the other end gets the inverse types."""
        onward = frozenset(type_ids)
        self._add(here, there, onward)
        self._add(there, here, frozenset(INVERSE_TYPE_ID.get(each, each) for each in onward))

    def load(self, here: str, there: str, pairs: Iterable[tuple[int, int]], type_id: int) -> None:
        """Tie many pairs in one way."""
        onward, back = frozenset((type_id,)), frozenset((INVERSE_TYPE_ID.get(type_id, type_id),))
        forth = self._ties.setdefault((here, there), {})
        reverse = self._ties.setdefault((there, here), {})
        for one, other in pairs:
            mine = forth.setdefault(one, {})
            mine[other] = mine.get(other, frozenset()) | onward
            theirs = reverse.setdefault(other, {})
            theirs[one] = theirs.get(one, frozenset()) | back

    def untie(self, here: End, there: End, type_ids: Iterable[int] | None = None) -> None:
        """Take away some ways, or all when None. Taking the unlabelled way takes the labelled ones too."""
        gone = None if type_ids is None else frozenset(type_ids)
        back = None if gone is None else frozenset(INVERSE_TYPE_ID.get(each, each) for each in gone)
        self._remove(here, there, gone)
        self._remove(there, here, back)

    def of(self, here: End, there: str) -> Mapping[int, frozenset[int]]:
        """The type ids by other record's id, in the order they were tied."""
        return self._ties.get((here[0], there), {}).get(here[1], {})

    def forget(self, end: End) -> None:
        """A record is gone: its ties go with it."""
        for there in [there for here, there in self._ties if here == end[0]]:
            for other in list(self.of(end, there)):
                self.untie(end, (there, other))

    def move(self, old: End, new: End) -> None:
        """A record was merged into another: its ties go over."""
        for there in [there for here, there in self._ties if here == old[0]]:
            for other, types in list(self.of(old, there).items()):
                if (there, other) != new:
                    self.tie(new, (there, other), types)
        self.forget(old)

    def _add(self, here: End, there: End, type_ids: frozenset[int]) -> None:
        mine = self._ties.setdefault((here[0], there[0]), {}).setdefault(here[1], {})
        mine[there[1]] = mine.get(there[1], frozenset()) | type_ids

    def _remove(self, here: End, there: End, type_ids: frozenset[int] | None) -> None:
        mine = self._ties.get((here[0], there[0]), {}).get(here[1], {})
        if there[1] not in mine:
            return
        unlabelled = {each.type_id for each in ASSOCIATION_TYPES.get((here[0], there[0]), ()) if each.label is None}
        left = frozenset() if type_ids is None or type_ids & unlabelled else mine[there[1]] - type_ids
        if left:
            mine[there[1]] = left
        else:
            del mine[there[1]]


def described(here: str, there: str, type_ids: Iterable[int]) -> list[AssociationType]:
    """Type ids with category and label, labelled ones first as HubSpot lists them."""
    known = {each.type_id: each for each in ASSOCIATION_TYPES.get((here, there), ())}
    found = [known.get(each, AssociationType("USER_DEFINED", each, None)) for each in sorted(type_ids)]
    return sorted(found, key=lambda each: each.label is None)
