"""The general set: one picture a question, balanced solutions that the benchmark reads, bytes that the seed decides."""

from collections import Counter

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.tasks.general import General
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.sources.synthetic.questions import KINDS, Questions, solution
from seke.sources.synthetic.scenes import SyntheticScenes

from ..rows import fetched


def rows(path, **settings):
    return fetched(Questions(**{"images": 32, "workers": 1, "size": 32, **settings}), path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    return path, rows(path)


def test_kinds_take_turns_and_each_question_has_a_picture_of_its_own(drawn):
    path, records = drawn
    assert [record.attributes["kind"] for record in records] == list(KINDS) * 4
    assert len({record.sha256 for record in records}) == len(records)
    for record in records:
        assert sha256((path / "questions" / record.image).read_bytes()) == record.sha256


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "description"])
def test_values_take_turns_so_that_one_answer_is_right_once_in_as_many(kind):
    values = len(KINDS[kind].values)
    answers = Counter(solution(0, kind, number)[0] for number in range(1, 3 * values + 1))
    assert len(answers) == values and set(answers.values()) == {3}


def test_the_benchmark_scores_the_answers_that_are_taught_as_right_and_silence_as_nothing(drawn):
    _, records = drawn
    taught = {row.id: Answer(id=row.id, text=row.attributes["answer"]) for row in records}
    scored, _ = General().predictions(records, taught, parse)
    assert {row.score for row in scored} == {1.0}
    empty, _ = General().predictions(records, {}, parse)
    assert {row.score for row in empty} == {0.0}


def test_anothers_description_is_right_only_where_both_faces_are_alike(drawn):
    _, records = drawn
    faces = [row for row in records if row.attributes["kind"] == "description"]
    swapped = {
        a.id: Answer(id=a.id, text=b.attributes["answer"]) for a, b in zip(faces, faces[1:] + faces[:1], strict=True)
    }
    scored, _ = General().predictions(faces, swapped, parse)
    for row, other in zip(scored, faces[1:] + faces[:1], strict=True):
        alike = sum(
            mine[0] == tuple(theirs[0]) for mine, theirs in zip(row.truth, other.attributes["expected"], strict=True)
        )
        assert row.right == alike < len(row.truth)


def test_any_number_of_workers_and_another_run_draw_the_same_bytes(drawn, tmp_path):
    _, records = drawn
    assert rows(tmp_path / "again", workers=2) == records
    assert rows(tmp_path / "other", seed=1)[0].sha256 != records[0].sha256


def test_it_says_whether_scenes_are_among_the_pictures():
    assert Questions().synthetic == SyntheticScenes().synthetic == "scenes"
    assert Questions(kinds=["description", "hair"]).synthetic == "faces"


def test_a_description_states_all_movements_glasses_beard_and_hair(drawn):
    _, records = drawn
    expected = records[0].attributes["expected"]
    assert len(expected) == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["mood"]}, r"source\.kinds=\['mood'\]: no kind 'mood'; use some of description"),
        ({"kinds": []}, r"source\.kinds=\[\]: no kind"),
        ({"kinds": ["hair", "hair"]}, "one of them twice"),
        ({"test_share": 1.5}, r"source\.test_share=1\.5"),
        ({"images": 0}, r"source\.images=0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Questions(**settings)
