"""Subject-independent train, validation and test, decided for each group of pictures on its own.

A group is a subject, or one picture where no subject is known. Its split is a hash of (seed, group): no picture of a
person can land on both sides, the order of rows does not matter, and adding groups moves none of those already there.
Shares are therefore met on average, not exactly.
"""

import hashlib
from typing import Final

from seke.core.errors import UserError
from seke.core.records import Split

VALIDATION_SHARE: Final = 0.08
"""Share of the training part that is set aside to choose settings on."""


def split_of(group: str, seed: int, test_share: float = 0.1, validation_share: float = VALIDATION_SHARE) -> Split:
    """Return the split of `group`: "test" (the benchmark's side, FEAB), "validation" or "train".

    With u uniform in [0, 1) from the hash: test if u < t, validation if u < t + (1 - t) v, else train. So a larger
    test share only moves groups into test, never out of it.

    >>> split_of("S005", seed=0, test_share=0.0, validation_share=0.0), split_of("S005", seed=0, test_share=1.0)
    ('train', 'test')
    """
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    u = int.from_bytes(digest[:7], "big") / 2**56
    if u < test_share:
        return "test"
    return "validation" if u < test_share + (1 - test_share) * validation_share else "train"


def checked_share(argument: str, value: float) -> float:
    """Return `value` if it is a share.

    Raises:
        UserError: if it is no number in [0, 1].
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(argument, value, "a share lies between 0 and 1", "set for example 0.1")
    return float(value)
