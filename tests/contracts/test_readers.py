"""What every reader of conf/data/ promises (`seke.training.readers.row.Reader`), each on the miniature of its dataset.

A new one is found by its YAML; it needs tests/trees/<name>.py, unless its path is the name of a generate run.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from seke.answers.extract import extract
from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.data.mixture import Data, Part, stream
from seke.training.readers.llava import Llava
from seke.training.readers.row import KEPT, Keep, Row

from ..trees import feid_release
from ..trees.pictures import save
from .offered import built, composed, miniature, options

RECORDS = ("records",)
"""Options that hold no instructions: faces with human labels, for algorithm=grpo (tests/training/grpo)."""
SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


class Made(NamedTuple):
    """A dataset on the disk, and its settings as `train` has them."""

    data: Data
    outputs: Path

    @property
    def parts(self) -> list[Part]:
        return self.data.sources(self.outputs)


def generated(run: Path) -> None:
    """Write what a generate run leaves: instructions with labels, and the manifest."""
    labels = {"expression": "happiness", "valence": 0.5, "arousal": 0.1, "action_units": {"6": True, "12": False}}
    rows = [{**feid_release.row(f"row-{number}", f"{number}.png"), "labels": labels} for number in range(3)]
    for row in rows:
        save(run / row["image"], row["image"])
    rows.append(feid_release.row("gone", "gone.png"))
    (run / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "manifest.json").write_text('{"image_root": "."}')


@pytest.fixture(scope="module", params=[name for name in options("data") if name not in RECORDS])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp(request.param)
    words = [f"data={request.param}", "name=toy", f"paths.data={base / 'data'}", f"paths.outputs={base / 'outputs'}"]
    settings = composed("train", *words).data
    for name, entry in (settings.mixture or {request.param: settings}).items():
        path = Path(entry.path)
        if path.is_absolute():
            miniature("data", name, base / "data", path)
        elif not (base / "outputs" / "generate" / path).exists():
            generated(base / "outputs" / "generate" / path)
    return Made(built(settings), base / "outputs")


def read(part: Part, keep: Keep = "all") -> list[Row | Rejection]:
    return list(stream(part._replace(keep=keep)))


def test_it_names_its_label_files_and_yields_rows_or_rejections_that_say_why(made: Made) -> None:
    for part in made.parts:
        assert part.files
        assert all(file.is_file() for file in part.files)
        found = read(part)
        assert any(isinstance(row, Row) for row in found)
        for row in found:
            assert row.id
            assert not isinstance(row, Rejection) or (row.reason and row.detail)


def test_it_yields_the_same_rows_in_the_same_order_again(made: Made) -> None:
    assert [read(part) for part in made.parts] == [read(part) for part in made.parts]


def test_each_row_ends_in_an_answer_and_its_pictures_are_there(made: Made) -> None:
    for row in (row for part in made.parts for row in read(part) if isinstance(row, Row)):
        assert row.turns[-1].role == "assistant"
        assert row.turns[-1].text.strip()
        assert all(file.is_file() for file in row.images)
        assert sum(turn.images for turn in row.turns) == len(row.images)


@pytest.mark.parametrize("keep", sorted(KEPT))
def test_with_keep_the_last_answer_is_that_description_alone(made: Made, keep: Keep) -> None:
    for part in made.parts:
        found = read(part, keep)
        whole = {row.id: row for row in read(part) if isinstance(row, Row)}
        assert {row.id for row in found if isinstance(row, Row)} <= set(whole)
        for row in (row for row in found if isinstance(row, Row)):
            labels = extract(row.turns[-1].text)
            known = {name for name, value in labels if value is not None}
            assert known
            assert known <= set(KEPT[keep])
            assert row.turns[:-1] == whole[row.id].turns[:-1]


def test_its_rows_written_as_llava_conversations_are_read_as_the_same(made: Made, tmp_path: Path) -> None:
    rows = [row for part in made.parts for row in read(part) if isinstance(row, Row)]
    file = tmp_path / "rows.jsonl"
    with file.open("w") as out:
        for row in rows:
            turns = [
                {"from": SPEAKERS[turn.role], "value": "<image>\n" * turn.images + turn.text} for turn in row.turns
            ]
            images = [str(image) for image in row.images]
            image = {"image": images[0] if len(images) == 1 else images} if images else {}
            out.write(json.dumps({"id": row.id, "conversations": turns, **image}) + "\n")
    again = list(Llava().read(file, Path("/")))
    assert [(row.id, row.turns, row.images) for row in again if isinstance(row, Row)] == [
        (row.id, row.turns, tuple(image.resolve() for image in row.images)) for row in rows
    ]


def test_a_missing_dataset_is_told_in_one_line(made: Made, tmp_path: Path) -> None:
    for part in made.parts:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=r"^data\.\S+=.*; \S"):
            part.reader.files(tmp_path / "empty")
