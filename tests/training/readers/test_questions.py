"""Records with questions of their own as general data: read by folder or file, mixed in by weight, no test rows."""

from collections import Counter
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.data.mixture import Data, stream
from seke.training.readers.questions import Questions
from seke.training.readers.row import Row

from ...trees import general


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    general.make(tmp_path / "prepare" / "general")
    return tmp_path / "prepare" / "general"


def mixed(path: Path, outputs: Path, **entry) -> list[Row | Rejection]:
    data = Data(mixture={"general": {"path": str(path), "reader": Questions(), **entry}})
    [part] = data.sources(outputs)
    return list(stream(part))


@pytest.mark.parametrize("file", ["", "train.jsonl"])
def test_a_question_and_its_answer_are_a_row_and_what_cannot_be_used_says_why(prepared, tmp_path, file) -> None:
    found = mixed(prepared / file, tmp_path)
    rows = [row for row in found if isinstance(row, Row)]
    assert [row.id for row in rows] == ["q0", "q1", "q2"]
    assert [(turn.role, turn.text, turn.images) for turn in rows[0].turns] == [
        ("user", "Glasses?", 1), ("assistant", "Glasses.", 0),
    ]  # fmt: skip
    assert rows[0].images == (prepared / "questions" / "0.jpg",)
    assert {row.id: row.reason for row in found if isinstance(row, Rejection)} == {
        "q3": "answer", "q4": "question", "q5": "image", "q6": "held out",
    }  # fmt: skip


def test_a_description_alone_keeps_none_of_its_rows(prepared, tmp_path) -> None:
    found = Counter(row.reason for row in mixed(prepared, tmp_path, keep="va") if isinstance(row, Rejection))
    assert found["keep"] == 5  # all that have a question and an answer


def test_a_folder_without_a_training_side_is_told(tmp_path) -> None:
    with pytest.raises(UserError, match=r"data\.path=.*train\.jsonl"):
        Questions().files(tmp_path)
