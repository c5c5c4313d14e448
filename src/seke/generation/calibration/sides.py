"""Two halves of people: what is learnt on one is judged on the other."""

import hashlib
from collections.abc import Iterable


def two_sides(subjects: Iterable[str]) -> dict[str, int]:
    """Return the side, 0 or 1, of each subject: dealt out in turn, a source's subjects in the order of their hashes."""

    def key(name: str) -> tuple[str, bytes]:
        return name.partition("/")[0], hashlib.sha256(f"sides\0{name}".encode()).digest()

    return {name: place % 2 for place, name in enumerate(sorted(set(subjects), key=key))}
