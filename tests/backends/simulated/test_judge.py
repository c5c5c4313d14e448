"""The simulated judge marks by what an answer names, and backend=simulated_scenes lends it its eyes."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import yaml

from seke.backends.simulated.judge import marked
from seke.backends.simulated.scenes import BLIND, JUDGE, SimulatedScenes
from seke.benchmark.judging.rubric import Answered, Rubric
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Image

CONF = Path(__file__).resolve().parents[3] / "conf"
RUBRIC = Rubric(Prompts(yaml.safe_load((CONF / "prompts" / "rubric.yaml").read_text())["templates"]))
THERE, KNOWN = {"dog", "park"}, {"dog", "park", "ghost", "spider"}
GOOD = "There is a dog. It is in a park. So it is amusement. That is all."


def marks(answer: str, *, mistakes: float = 0.0, rng: Random | None = None) -> list[int]:
    text = f"<emotion>\namusement\n</emotion>\n<answer>\n{answer}\n</answer>"
    found = marked(text, ["reasons", *RUBRIC.criteria], THERE, KNOWN, mistakes, rng or Random(0))
    return [found[name] for name in ("emotion", "evidence", "coherence", "truthfulness")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOOD, [5, 5, 5, 5]),
        ("Amusement", [5, 1, 1, 5]),
        ("A ghost. A spider.", [1, 1, 3, 1]),
        ("A ghost and a dog, so amusement.", [5, 3, 2, 3]),
        ("An amusements doggy.", [1, 1, 2, 5]),
        ("", [1, 1, 1, 5]),
    ],
)
def test_marks_follow_from_the_words_alone(answer: str, expected: list[int]) -> None:
    assert marks(answer) == expected


def test_a_mistake_is_a_mark_off_by_one_within_the_scale() -> None:
    rng = Random(0)
    off = Counter(mark for _ in range(400) for mark in marks("A ghost and a dog.", mistakes=0.5, rng=rng)[1:2])
    assert set(off) == {2, 3, 4}
    assert off[3] / 400 == pytest.approx(0.5, abs=0.08)
    best = [mark for _ in range(20) for mark in marks(GOOD, mistakes=1.0, rng=rng)]
    assert set(best) == {4, 5}


def test_of_a_criterion_that_it_does_not_know_it_has_no_opinion() -> None:
    found = marked("<emotion>awe</emotion><answer>Awe.</answer>", ["reasons", "wit"], (), (), 0.0, Random(0))
    assert found["wit"] == 3 and isinstance(found["reasons"], str)


@pytest.fixture
def truth(tmp_path: Path) -> str:
    things = [{"object": ["ghost"], "scene_type": "forest"}, {"object": ["dog"], "scene_type": "park"}]
    records = [
        ImageRecord(
            id=str(number), image="a.jpg", sha256=f"{number:064}", source="synthetic_scenes", subject=None,
            split="test", labels=Labels(), attributes={"emotion": "amusement", "brightness": 0.9, **things[number % 2]},
        )
        for number in range(80)
    ]  # fmt: skip
    write_jsonl(tmp_path / "scenes.jsonl", records)
    return str(tmp_path / "scenes.jsonl")


def judge(truth: str, seed: int = 0, errors: float = 0.0) -> SimulatedScenes:
    return SimulatedScenes(truth, misses=errors, mistakes=errors, wrong_emotions=0.0, seed=seed)


def asked(number: int, answer: str = "A bright park with a dog. It is amusement.") -> Answered:
    return Answered(Image(Path("nowhere.jpg"), f"{number:064}"), "Which?", "amusement", answer)


def test_the_rubrics_own_request_is_answered_in_its_form_by_a_judge_that_is_called_simulated(truth: str) -> None:
    liked, disliked = RUBRIC.judge(judge(truth), [asked(1), asked(0)], "judge")
    assert (liked.status, liked.model) == ("ok", JUDGE) and JUDGE.startswith("simulated")
    assert liked.marks == {"emotion": 5, "evidence": 5, "coherence": 3, "truthfulness": 5}
    assert disliked.marks == {"emotion": 5, "evidence": 3, "coherence": 3, "truthfulness": 1}
    assert disliked.reasons == "There: bright. Not there: dog, park."


def test_a_picture_that_is_no_scene_it_has_not_seen_and_says_so(truth: str) -> None:
    [found] = RUBRIC.judge(judge(truth), [asked(999)], "judge")
    assert found.model == BLIND


def test_two_seeds_are_two_judges_who_mostly_agree(truth: str) -> None:
    answers = [asked(number) for number in range(80)]
    first, second = (RUBRIC.judge(judge(truth, seed, errors=0.1), answers, "judge") for seed in (0, 1))
    same = sum(a.marks == b.marks for a, b in zip(first, second, strict=True))
    assert 20 < same < 80
    assert [found.marks for found in RUBRIC.judge(judge(truth, 0, errors=0.1), answers, "judge")] == [
        found.marks for found in first
    ]


def test_reasons_are_json_text(truth: str) -> None:
    ((_, reply),) = judge(truth).reply([RUBRIC.request(asked(1))])
    assert set(json.loads(reply.choices[0].text)) == {"reasons", *RUBRIC.criteria}
