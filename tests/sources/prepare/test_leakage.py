import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.sources.prepare.image_check import ImageCheck, check_image
from seke.sources.prepare.leakage import checked_distance, leaks, signs

from ...trees.pictures import picture


def row(id_, split, subject=None, source="s", sha256=None):
    return ImageRecord(
        id=id_, image=f"{id_}.png", sha256=sha256 or f"sha of {id_}", source=source, subject=subject, split=split,
        labels=Labels(expression="fear"),
    )  # fmt: skip


def looks_of(rows, bits):
    return {r.image: ImageCheck(r.sha256, np.packbits(b).tobytes().hex()) for r, b in zip(rows, bits, strict=True)}


def test_a_subject_on_both_sides_leaves_train():
    rows = [row("a", "test", "S1"), row("b", "train", "S1"), row("c", "train", "S2"), row("d", "train", "S1", "other")]
    found = leaks(rows, {}, None)
    assert [(leak.dropped.id, leak.kept.id) for leak in found] == [("b", "a")]
    assert found[0].rejection.reason == "leak"
    assert "subject S1 is that of a (test)" in found[0].rejection.detail


def test_copies_leave_train_and_validation_and_never_test():
    rows = [
        row(id_, split, sha256="same")
        for id_, split in zip("abcd", ("train", "test", "validation", "test"), strict=True)
    ]
    assert {leak.dropped.id: leak.kept.id for leak in leaks(rows, {}, None)} == {"a": "b", "c": "b"}


def test_what_train_shares_with_validation_leaves_train():
    rows = [row("a", "train", sha256="same"), row("b", "validation", sha256="same")]
    assert [leak.dropped.id for leak in leaks(rows, {}, None)] == ["a"]


def test_a_picture_saved_anew_is_a_near_duplicate_and_another_one_is_not(tmp_path):
    original = picture("somebody", (120, 120))
    original.save(tmp_path / "a.png")
    original.resize((60, 60)).save(tmp_path / "b.jpg", quality=60)
    picture("somebody else", (120, 120)).save(tmp_path / "c.png")
    rows = [row("a", "test"), row("b", "train"), row("c", "train")]
    rows = [r.model_copy(update={"image": name}) for r, name in zip(rows, ("a.png", "b.jpg", "c.png"), strict=True)]
    seen = {r.image: check_image(tmp_path, r.image) for r in rows}
    found = leaks(rows, seen, 16)
    assert [(leak.dropped.id, leak.kept.id) for leak in found] == [("b", "a")]
    assert " of 256 bits from a" in found[0].rejection.detail
    assert leaks(rows, seen, None) == []


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
def test_near_duplicates_against_counted_bits(seed, distance, kept, others):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2, (kept, 256), dtype=np.uint8)
    flipped = base[rng.integers(0, kept, others)] ^ (rng.random((others, 256)) < rng.random((others, 1)) * 0.2)
    rows = [row(f"k{n}", "test") for n in range(kept)] + [row(f"o{n}", "train") for n in range(others)]
    found = leaks(rows, looks_of(rows, [*base, *flipped]), distance)
    nearest = [min(int((mine ^ theirs).sum()) for theirs in base) for mine in flipped.astype(np.uint8)]
    assert {leak.dropped.id for leak in found} == {f"o{n}" for n, apart in enumerate(nearest) if apart <= distance}
    assert all(f"{nearest[int(leak.dropped.id[1:])]} of 256" in leak.why for leak in found)


def test_signs_against_imagehash():
    import imagehash

    hashes = [imagehash.phash(picture(name), hash_size=16) for name in "abc"]
    products = signs([str(h) for h in hashes]) @ signs([str(h) for h in hashes]).T
    assert ((256 - products) / 2).tolist() == [[a - b for b in hashes] for a in hashes]


@pytest.mark.parametrize("distance", [-1, 128, 1.5, True, "near"])
def test_a_distance_that_is_none_is_refused(distance):
    with pytest.raises(UserError, match="near_duplicate"):
        checked_distance(distance)


def test_blank_pictures_have_a_hash_too(tmp_path):
    Image.new("RGB", (30, 30)).save(tmp_path / "black.png")
    assert len(check_image(tmp_path, "black.png").phash) == 64
