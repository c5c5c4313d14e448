"""Drawing a dataset down to a number of images: even over what is to be balanced and spread over subjects, or plainly.

Pure and seeded by hashes of ids: neither the order of rows nor files added elsewhere change which of two rows of one
stratum and subject comes first.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from seke.core.records import ImageRecord

Stratum = Callable[[ImageRecord], str]


def draw(pool: Sequence[ImageRecord], count: int, stratum: Stratum, seed: int) -> list[ImageRecord]:
    """Return `count` records of `pool` (all, if it has fewer), in the pool's order.

    Strata get even shares; what a small stratum cannot give goes to the others. Within a stratum subjects take turns,
    each giving its records in an order of its own; a record without a subject is a subject of its own.
    """
    strata: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in pool:
        strata[stratum(record)].append(record)
    quotas = even_shares(count, {name: len(records) for name, records in strata.items()})
    chosen = {record.id for name, records in strata.items() for record in _in_turns(records, seed)[: quotas[name]]}
    return [record for record in pool if record.id in chosen]


def draw_plainly(pool: Sequence[ImageRecord], count: int, seed: int) -> list[ImageRecord]:
    """Return `count` records of `pool` (all, if it has fewer), in the pool's order, each as likely as any other.

    So what is rare stays rare: action units are active in as large a share of the drawn images as of all.
    """
    chosen = {record.id for record in sorted(pool, key=lambda record: _key(record, seed))[:count]}
    return [record for record in pool if record.id in chosen]


def even_shares(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Share `total` as evenly as `sizes` allow: the small ones are taken whole, the others get the same (one off).

    >>> even_shares(10, {"neutral": 100, "fear": 2, "anger": 100})
    {'fear': 2, 'anger': 4, 'neutral': 4}
    """
    shares: dict[str, int] = {}
    left = total
    for place, (name, size) in enumerate(sorted(sizes.items(), key=lambda item: (item[1], item[0]))):
        shares[name] = min(size, left // (len(sizes) - place))
        left -= shares[name]
    return shares


def by_expression(pool: Sequence[ImageRecord]) -> Stratum:
    """Balance over expressions, as Sec. 4.1 does for RAF-DB, AffectNet and Aff-Wild2."""
    return lambda record: record.labels.expression or "unknown"


def by_rarest_au(pool: Sequence[ImageRecord]) -> Stratum:
    """Balance over each record's rarest active AU, so that rare AUs are kept: no AU active is a stratum as well.

    The paper does not say how it drew its AU sets; a plain draw would leave AU15, AU20 or AU9 with a handful of images.
    """
    active = Counter(au for record in pool for au in record.labels.active)

    def stratum(record: ImageRecord) -> str:
        units = record.labels.active
        return f"AU{min(units, key=lambda au: (active[au], au)):02d}" if units else "none"

    return stratum


BALANCE: Mapping[str, Callable[[Sequence[ImageRecord]], Stratum]] = {
    "expression": by_expression,
    "action_units": by_rarest_au,
}


def _in_turns(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Order records so that subjects take turns: everybody's first, then everybody's second, and so on."""
    taken: Counter[str] = Counter()
    turns: list[tuple[int, bytes, ImageRecord]] = []
    for key, record in sorted(((_key(record, seed), record) for record in records), key=lambda pair: pair[0]):
        person = record.subject if record.subject is not None else record.id
        turns.append((taken[person], key, record))
        taken[person] += 1
    return [record for _, _, record in sorted(turns, key=lambda turn: turn[:2])]


def _key(record: ImageRecord, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0draw\0{record.id}".encode()).digest()
