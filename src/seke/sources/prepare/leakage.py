"""The leakage guard: no subject, no copy and no near-duplicate of the benchmark is seen in training.

The test side stays as it is; what leaks is dropped from validation and train, and what of train leaks into validation
is dropped from train, since settings are chosen there.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection
from seke.sources.prepare.image_check import HASH_SIDE, ImageCheck

BITS: Final = HASH_SIDE**2
BLOCK: Final = 2048
"""Hashes compared at a time: 2,048 of train with all of test take about 30 MB."""
SIDES: Final = (("test", ("validation", "train")), ("validation", ("train",)))
"""What is kept, and what is dropped where both show the same."""


class Leak(NamedTuple):
    """A pair that stood on both sides, and why it counts as one."""

    dropped: ImageRecord
    kept: ImageRecord
    why: str

    @property
    def rejection(self) -> Rejection:
        """The dropped record's row of rejected.jsonl."""
        detail = f"{self.why} {self.kept.id} ({self.kept.split})"
        return Rejection(id=self.dropped.id, reason="leak", detail=detail)


def checked_distance(distance: object) -> int | None:
    """Return `distance` if it is a number of bits or None.

    Raises:
        UserError: if it is neither.
    """
    whole = isinstance(distance, int) and not isinstance(distance, bool)
    if distance is not None and not (whole and 0 <= distance < BITS // 2):  # type: ignore[operator]
        raise UserError(
            "near_duplicate",
            distance,
            f"not a number of differing bits from 0 to {BITS // 2 - 1}",
            "set for example 16, or null to compare subjects and bytes only",
        )
    return distance  # type: ignore[return-value]


def leaks(records: Sequence[ImageRecord], checks: Mapping[str, ImageCheck], distance: int | None) -> list[Leak]:
    """Return every record that must go, with the one record that it comes closest to on the other side.

    `checks` are by `image`; `distance` is the largest number of the 256 bits in which two perceptual hashes of one
    picture may differ, None to compare no pictures.
    """
    found: dict[str, Leak] = {}
    for kept_side, dropped_sides in SIDES:
        kept = [record for record in records if record.split == kept_side]
        for candidates in (_same_subject, _same_bytes):
            for leak in candidates(kept, _left(records, dropped_sides, found)):
                found[leak.dropped.id] = leak
        if distance is not None:
            for leak in _near(kept, _left(records, dropped_sides, found), checks, distance):
                found[leak.dropped.id] = leak
    return list(found.values())


def _left(records: Sequence[ImageRecord], sides: Sequence[str], found: Mapping[str, Leak]) -> list[ImageRecord]:
    return [record for record in records if record.split in sides and record.id not in found]


def _same_subject(kept: Sequence[ImageRecord], others: Sequence[ImageRecord]) -> list[Leak]:
    people = {(record.source, record.subject): record for record in reversed(kept)}
    return [
        Leak(other, people[other.source, other.subject], f"subject {other.subject} is that of")
        for other in others
        if other.subject is not None and (other.source, other.subject) in people
    ]


def _same_bytes(kept: Sequence[ImageRecord], others: Sequence[ImageRecord]) -> list[Leak]:
    copies = {record.sha256: record for record in reversed(kept)}
    return [
        Leak(other, copies[other.sha256], "byte-identical with") for other in others if other.sha256 in copies
    ]  # fmt: skip


def _near(
    kept: Sequence[ImageRecord], others: Sequence[ImageRecord], checks: Mapping[str, ImageCheck], distance: int
) -> list[Leak]:
    if not kept or not others:
        return []
    kept_KB = signs([checks[record.image].phash for record in kept])
    found = []
    for start in range(0, len(others), BLOCK):
        block = others[start : start + BLOCK]
        # Of two rows of +-1, equal bits less differing bits is the dot product; whole numbers are exact in float32.
        apart_OK = (BITS - signs([checks[record.image].phash for record in block]) @ kept_KB.T) / 2
        nearest_O = apart_OK.argmin(axis=1)
        for row, other in enumerate(block):
            apart = int(apart_OK[row, nearest_O[row]])
            if apart <= distance:
                found.append(Leak(other, kept[nearest_O[row]], f"{apart} of {BITS} bits from"))
    return found


def signs(hashes: Sequence[str]) -> NDArray[np.float32]:
    """Return hex hashes as rows of +1 and -1, (hashes, 256)."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), -1)
    return np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1
