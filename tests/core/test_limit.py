"""`limit=`: so many records, in proportion to sources and splits, chosen by the seed, the same in every command."""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.benchmark.run import plan
from seke.benchmark.tasks.emoset import EMOTIONS, EmoSet
from seke.core.errors import UserError
from seke.core.limit import checked, group_of, in_proportion, limited, places_of_share
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.generation.run.generate import select


class Entry(NamedTuple):
    id: str
    source: str
    split: str


SIZES = {("ck_plus", "train"): 500, ("ck_plus", "test"): 100, ("disfa", "train"): 300, ("disfa", "test"): 99}
ENTRIES = [
    Entry(f"{source}/{split}/{k}", source, split) for (source, split), size in SIZES.items() for k in range(size)
]


def shares(entries):
    return dict(Counter((entry.source, entry.split) for entry in entries))


def test_every_source_and_split_has_its_share_in_the_order_of_the_file():
    kept = limited(ENTRIES, 100, seed=0)
    assert shares(kept) == {("ck_plus", "train"): 50, ("ck_plus", "test"): 10, ("disfa", "train"): 30,
                            ("disfa", "test"): 10}  # fmt: skip
    assert kept == [entry for entry in ENTRIES if entry in kept]


def test_the_seed_chooses_and_nothing_else():
    kept = limited(ENTRIES, 50, seed=1)
    assert set(kept) == set(limited(ENTRIES[::-1], 50, seed=1)) != set(limited(ENTRIES, 50, seed=2))
    assert limited(ENTRIES, None, 0) == limited(ENTRIES, 10_000, 0) == ENTRIES


def test_a_limit_below_the_number_of_groups_favours_no_name():
    groups = [Entry(name, name, "test") for name in "abcdef"]
    assert {limited(groups, 1, seed)[0].id for seed in range(60)} == set("abcdef")


@given(st.dictionaries(st.text("abc", max_size=3).map(lambda name: (name,)), st.integers(0, 40)), st.integers(1, 90))
def test_shares_add_up_and_are_off_by_less_than_one(sizes, total):
    found, every = in_proportion(total, sizes), sum(sizes.values())
    assert sum(found.values()) == min(total, every)
    for group, share in found.items():
        assert abs(share - sizes[group] * min(total, every) / max(every, 1)) < 1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "many"])
def test_what_is_no_number_of_records_is_refused(wrong):
    with pytest.raises(UserError, match=f"limit={wrong}: not a number of records"):
        checked(wrong)


def test_generation_takes_what_the_limit_says(tmp_path: Path):
    rows = [
        ImageRecord(id=e.id, image="a.png", sha256=None, source=e.source, subject=None, split=e.split, labels=Labels())
        for e in ENTRIES
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert select(tmp_path / "rows.jsonl", None, 40, seed=5) == limited(rows, 40, 5)
    some = select(tmp_path / "rows.jsonl", "test", 4, seed=5)
    assert Counter(row.source for row in some) == {"ck_plus": 2, "disfa": 2}


def test_an_evaluation_judges_compares_and_counts_no_more_than_the_limit(tmp_path: Path):
    rows = [
        ImageRecord(
            id=str(k), image="a.png", sha256=None, source="emoset", subject=None, split="test", labels=Labels(),
            attributes={"emotion": EMOTIONS[k % 8]},
        )
        for k in range(40)
    ]  # fmt: skip
    (tmp_path / "prepare" / "scenes").mkdir(parents=True)
    write_jsonl(tmp_path / "prepare" / "scenes" / "test.jsonl", rows)
    theirs = [
        {"id": row.id, "source": "emoset", "subject": None, "text": "awe", "judged": None, "emotion": "awe",
         "truth": row.attributes["emotion"], "status": "ok"}
        for row in rows
    ]  # fmt: skip
    said = [{"id": row.id, "text": "awe", "labels": {"valence": 7}} for row in rows]
    for name, lines in (("theirs", theirs), ("said", said)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"records": "scenes", "limit": 6, "seed": 3, "predictions": str(tmp_path / "said.jsonl"),
                "predictions_fields": None, "compare": str(tmp_path / "theirs.jsonl"), "groups": [],
                "allow_overlap": False, "paths": {"images": None}}  # fmt: skip
    asked = plan.check(EmoSet({"constrained": "?"}), tmp_path, settings, None)
    wanted = [row.id for row in limited(rows, 6, seed=3)]
    assert [row.id for row in asked.records] == wanted
    assert sorted(asked.answers) == sorted(row.id for row in asked.scoring["against"][1]) == sorted(wanted)
    [counted] = [remark for remark in asked.remarks if "valence" in remark]
    assert counted.startswith("6 x ") and "out of [-1, 1]" in counted


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_a_smaller_share_is_within_a_larger_one_of_every_source_and_split(one, other, seed):
    ids, groups = [entry.id for entry in ENTRIES], [group_of(entry) for entry in ENTRIES]
    small, large = (places_of_share(ids, groups, share, seed) for share in sorted((one, other)))
    assert set(small) <= set(large)
    kept = shares([ENTRIES[place] for place in small])
    assert all(abs(kept.get(group, 0) - min(one, other) * size) <= 0.5 for group, size in SIZES.items())
