"""Small sets of a person's own are told what they cannot show; large ones, and sets that are well off, are not."""

import pytest

from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.sources.prepare import advice


def record(number, split, subject=None, **labels):
    return ImageRecord(
        id=str(number), image=f"{number}.png", sha256="0" * 64, source="folder", subject=subject, split=split,
        labels=Labels(**labels),
    )  # fmt: skip


def told(run, records):
    for split in ("train", "validation", "test"):
        write_jsonl(run / f"{split}.jsonl", [row for row in records if row.split == split])
    return [line.removeprefix("advice: ") for line in advice.of(run)]


def people(trained, tested, each=4, **labels):
    """Return records of so many people on either side, whose expressions take turns unless another one is given."""
    eight = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    sides = ["train"] * trained + ["test"] * tested
    return [
        record(each * k + j, side, f"p{k}", **({"expression": eight[(each * k + j) % 8]} | labels))
        for k, side in enumerate(sides)
        for j in range(each)
    ]


def test_a_set_that_is_large_enough_gets_none(tmp_path):
    assert told(tmp_path, people(12, 3)) == []
    assert told(tmp_path, people(999, 1, 1, expression="fear")) == []


@pytest.mark.parametrize(
    ("records", "lines"),
    [
        (
            [record(1, "train")],
            ["nothing is labelled: generate.py or evaluate.py can label it, and there is nothing to score"],
        ),
        (
            people(2, 0, expression=None, valence=0.1),
            ["nothing is tested on, 2 subjects are too few to hold any back: evaluate.py has nothing to score"],
        ),
        (
            people(12, 2, expression=None, valence=0.1),
            [
                "8 pictures are tested on: 10 are the least to be set beside the paper",
                "2 of 14 subjects are tested on: fewer than 3 have no interval; source.test_share=0.21 holds 3 back",
            ],
        ),
        (
            [record(k, "train" if k < 90 else "test", arousal=0.1) for k in range(100)],
            ["no person is named (a column subject): pictures of one person may be trained on and tested on"],
        ),
        (
            [*people(6, 0, expression="fear"), *people(9, 3)[36:], record(99, "train", "x", expression="anger")],
            [
                "tested on and never trained on: neutral, happiness, sadness, surprise, disgust, contempt",
                "fewer than 5 pictures to train on of: "
                "neutral 0, happiness 0, sadness 0, surprise 0, disgust 0, anger 1, contempt 0",
            ],
        ),
        (
            people(12, 3, expression="fear"),
            ["no picture shows: neutral, happiness, sadness, surprise, disgust, anger, contempt"],
        ),
    ],
)  # fmt: skip
def test_what_is_too_small_is_told(tmp_path, records, lines):
    assert told(tmp_path, records) == lines
