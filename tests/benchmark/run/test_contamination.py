"""Training and test set may share no id, no subject of one source and no picture; what cannot be known is said."""

import json
from pathlib import Path

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.run import plan
from seke.benchmark.run.contamination import Finding, check
from seke.benchmark.tasks.emoset import EmoSet
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.picture_classes import PictureClasses
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, write_jsonl


def record(folder: Path, id_: str, subject: str | None, source: str = "ck_plus", picture: str | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{id_}.png"
    path.write_bytes((picture or f"{source} {id_}").encode())
    return ImageRecord(
        id=f"{source}/{id_}", image=path.name, sha256=sha256(path.read_bytes()), source=source, subject=subject,
        split="train", labels=Labels(),
    )  # fmt: skip


def write_manifest(folder: Path, **facts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(facts))


def conversations(file: Path, records, prepared: Path | None = None) -> Path:
    rows = [
        {"id": row.id, "image": row.image, "source": row.source, "subject": row.subject, "conversations": []}
        for row in records
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    root = {"image_root": "images"} if prepared is None else {"config": {"records": str(prepared)}}
    write_manifest(file.parent, **root)
    return file


def trained(outputs: Path, name: str, base: str = "assets/none", files: list[Path] | None = None, **data) -> str:
    """Write a finished train run's manifest, without a list of `files` as an older one; return its model."""
    run = outputs / "train" / name
    (run / "model").mkdir(parents=True)
    listed = {} if files is None else {"trained_on": list(map(str, files))}
    config = {"data": {"path": None, **data}, "paths": {"outputs": str(outputs)}}
    write_manifest(run, base=base, config=config, **listed)
    return str(run / "model")


@pytest.fixture
def train_rows(tmp_path: Path):
    folder = tmp_path / "generate" / "feid" / "images"
    rows = [record(folder, f"t{number}", f"S{number}") for number in range(5)]
    conversations(tmp_path / "generate" / "feid" / "instructions.jsonl", rows)
    return rows


def test_a_clean_split_passes_and_says_what_the_base_leaves_open(tmp_path: Path, train_rows) -> None:
    model = trained(tmp_path, "clean", path="feid")
    tested = [record(tmp_path / "test", "x", "S9"), record(tmp_path / "test", "y", "S1", source="disfa")]
    found = check(tested, model, tmp_path)
    assert found.notes == ()
    assert found.remarks == ("training data of assets/none not checked: it is not a checkpoint of train.py",)


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (("t0", None, "ck_plus", "another"), r"1 ids \(ck_plus/t0\);"),
        (("x", "S3", "ck_plus", None), r"1 subjects \(ck_plus/S3\);"),
        (("x", None, "disfa", "ck_plus t4"), r"1 images \([0-9a-f]{40}\);"),
    ],
    ids=["id", "subject", "image"],
)
def test_an_overlap_is_refused_or_allowed_and_told(tmp_path: Path, train_rows, tested, said: str) -> None:
    id_, subject, source, picture = tested
    records = [record(tmp_path / "test", id_, subject, source, picture)]
    model = trained(tmp_path, "leaky", path="feid")
    with pytest.raises(UserError, match=f"^model.path=.*trained on what it is tested on: {said}.*allow_overlap=true"):
        check(records, model, tmp_path)
    [note] = check(records, model, tmp_path, allow_overlap=True).notes
    assert note.startswith("trained on what it is tested on: 1 ")


def test_every_part_of_a_mixture_and_every_earlier_training_counts(tmp_path: Path, train_rows) -> None:
    others = [record(tmp_path / "mine" / "images", "m", "S7", "mine")]
    mine = conversations(tmp_path / "mine" / "rows.jsonl", others)
    first = trained(tmp_path, "first", path="feid")
    model = trained(tmp_path, "second", base=first, mixture={"feid": None, "mine": {"path": str(mine)}})
    for row in (train_rows[0], others[0]):
        with pytest.raises(UserError, match=f"{row.id}"):
            check([row], model, tmp_path)


def test_pictures_are_known_from_the_prepared_records_even_when_the_files_are_gone(tmp_path: Path) -> None:
    rows = [record(tmp_path / "images", "t", None)]
    prepared = tmp_path / "prepare" / "faces"
    prepared.mkdir(parents=True)
    write_jsonl(prepared / "train.jsonl", rows)
    conversations(tmp_path / "generate" / "feid" / "instructions.jsonl", rows, prepared=Path("faces"))
    model = trained(tmp_path, "run", path="feid")
    (tmp_path / "images" / "t.png").unlink()
    with pytest.raises(UserError, match="1 images"):
        check([record(tmp_path / "test", "x", None, "disfa", "ck_plus t")], model, tmp_path)


def test_what_is_not_there_any_more_is_said(tmp_path: Path, train_rows) -> None:
    (tmp_path / "generate" / "feid" / "images" / "t1.png").unlink()
    lost = trained(tmp_path, "lost", path="nowhere")
    part = trained(tmp_path, "part", path="feid")
    tested = [record(tmp_path / "test", "x", "S9")]
    assert check(tested, lost, tmp_path).remarks[0].startswith("training data nowhere not checked: it is not there")
    assert check(tested, part, tmp_path).remarks[0] == (
        "training data feid: 1 images are not there any more, and were not compared"
    )


def test_a_model_that_train_did_not_make_is_not_checked(tmp_path: Path) -> None:
    for model in (None, "Qwen/Qwen2.5-VL-7B-Instruct"):
        found = check([], model, tmp_path)
        assert found == Finding(remarks=(found.remarks[0],)) and "not checked" in found.remarks[0]
    (tmp_path / "theirs").mkdir()
    assert "no manifest" in check([], str(tmp_path / "theirs"), tmp_path).remarks[0]


def test_the_files_that_a_manifest_lists_are_compared_whatever_its_names_mean_now(tmp_path: Path, train_rows) -> None:
    others = [record(tmp_path / "elsewhere" / "images", "m", "S7", "mine")]
    mine = conversations(tmp_path / "elsewhere" / "rows.jsonl", others)
    model = trained(tmp_path, "run", path="feid", files=[mine])
    with pytest.raises(UserError, match=others[0].id):
        check(others, model, tmp_path)
    assert check([train_rows[0]], model, tmp_path).notes == (), "the run called feid today is another one"


def test_a_listed_file_that_has_moved_is_found_by_its_name(tmp_path: Path, train_rows) -> None:
    model = trained(tmp_path, "run", path="feid", files=[Path("/gone/generate/feid/instructions.jsonl")])
    with pytest.raises(UserError, match=train_rows[0].id):
        check([train_rows[0]], model, tmp_path)


def test_listed_files_of_a_mixture_have_the_image_folder_of_their_own_part(tmp_path: Path) -> None:
    parts, files = {}, []
    for name in ("one", "two"):
        rows = [record(tmp_path / "pictures" / name, "t", None, name)]
        files.append(conversations(tmp_path / name / "rows.jsonl", rows))
        parts[name] = {"path": str(files[-1]), "image_root": str(tmp_path / "pictures" / name)}
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "two")
    parts["two"]["path"] = str(link / "rows.jsonl")
    model = trained(tmp_path, "run", mixture=parts, files=files)
    with pytest.raises(UserError, match="1 images"):
        check([record(tmp_path / "test", "x", None, "disfa", "one t")], model, tmp_path)
    with pytest.raises(UserError, match="1 ids"):
        check([record(tmp_path / "test", "t", None, "two")], model, tmp_path)


def test_rows_without_ids_are_compared_by_their_pictures(tmp_path: Path) -> None:
    pictures = [record(tmp_path / "set", name, None) for name in ("a", "b")]
    file = tmp_path / "set" / "rows.json"
    named = [{"image": pictures[0].image}, {"image": [pictures[1].image]}, {"id": "text", "conversations": []}]
    file.write_text(json.dumps(named))
    model = trained(tmp_path, "run", path=str(file), files=[file])
    tested = [record(tmp_path / "test", name, None, "disfa", f"ck_plus {name}") for name in ("a", "b")]
    with pytest.raises(UserError, match="2 images"):
        check(tested, model, tmp_path)
    assert len(check([record(tmp_path / "test", "c", None)], model, tmp_path).remarks) == 1, "the base's alone"


# -- answers of an earlier run, or made elsewhere ----------------------------------------------------------------------


class Asking(Feab):
    """FEAB about records that all have a label."""

    def __init__(self) -> None:
        super().__init__("What?")

    def predictions(self, records, answers, judge):
        known = [row.model_copy(update={"labels": Labels(valence=0.5)}) for row in records]
        return super().predictions(known, answers, judge)


class Reading(Asking):
    """Asks nobody."""

    request = None


ASKING = Asking()


def scored(outputs: Path, tested, predictions: str, benchmark=ASKING, allow_overlap: bool = False) -> plan.Task:
    """Check the scoring of `predictions` about the records `tested`."""
    prepared = outputs / "prepare" / "faces"
    prepared.mkdir(parents=True, exist_ok=True)
    write_jsonl(prepared / benchmark.records_file, tested)
    settings = {"records": "faces", "limit": None, "seed": 0, "predictions": predictions, "predictions_fields": None,
                "compare": None, "groups": [], "allow_overlap": allow_overlap, "paths": {"images": None}}  # fmt: skip
    return plan.check(benchmark, outputs, settings, None)


def answered(outputs: Path, name: str, tested, facts=(), **config) -> None:
    """Write an evaluate run's answers about `tested`, and its manifest; it may have scored another's."""
    before = outputs / "evaluate" / str(config.get("predictions")) / "predictions.jsonl"
    inputs = {"predictions": sha256(before.read_bytes())} if before.is_file() else {}
    write_manifest(outputs / "evaluate" / name, config={"predictions": None, **config}, inputs=inputs, **dict(facts))
    rows = [Answer(id=row.id, text=f"Joy to {name}.") for row in tested]
    write_jsonl(outputs / "evaluate" / name / "predictions.jsonl", rows)


def test_an_earlier_runs_answers_are_checked_as_the_model_that_gave_them(tmp_path: Path, train_rows) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "before", tested, backend={"model": {"path": trained(tmp_path, "leaky", path="feid")}})
    with pytest.raises(UserError, match=r"^predictions=.*trained on what it is tested on: 1 subjects"):
        scored(tmp_path, tested, "before")
    [mark] = scored(tmp_path, tested, "before", allow_overlap=True).scoring["caveats"]
    assert mark.startswith("trained on what it is tested on")


@pytest.mark.parametrize(
    "config",
    [{"backend": {"model": "gpt-4o"}}, {"backend": {"model": {"path": "a/b"}}, "predictions": "theirs.csv"}, {}],
    ids=["behind an API", "scored elsewhere's answers itself", "no backend"],
)
def test_answers_of_an_unknown_model_are_said_to_be_unchecked(tmp_path: Path, config) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "before", tested, **config)
    said = "training data not checked: what answered is not known as a checkpoint of train.py"
    assert scored(tmp_path, tested, "before").remarks == (said,)


def test_labels_that_no_model_gave_are_scored_without_a_word_about_training(tmp_path: Path) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    file = tmp_path / "labels.jsonl"
    write_jsonl(file, [Answer(id=tested[0].id, text="Joy.")])
    assert scored(tmp_path, tested, str(file), benchmark=Reading()).remarks == ()


def test_answers_that_were_scored_again_and_again_are_still_the_models_that_gave_them(
    tmp_path: Path, train_rows
) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "first", tested, backend={"model": {"path": trained(tmp_path, "leaky", path="feid")}})
    answered(tmp_path, "second", tested, predictions="first")
    answered(tmp_path, "third", tested, predictions="second")
    with pytest.raises(UserError, match=r"^predictions=.*trained on what it is tested on: 1 subjects"):
        scored(tmp_path, tested, "third")
    [mark] = scored(tmp_path, tested, "third", allow_overlap=True).scoring["caveats"]
    assert mark.startswith("trained on what it is tested on")


def test_an_overlap_told_before_stays_told_where_the_answers_origin_is_gone_or_goes_round(tmp_path: Path) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    told = ["trained on what it is tested on: 1 ids (x)", "another note"]
    answered(tmp_path, "gone", tested, predictions="first", facts={"notes": told})
    answered(tmp_path, "round", tested, predictions=None, facts={"notes": told})
    answered(tmp_path, "round", tested, predictions="round", facts={"notes": told})
    for name in ("gone", "round"):
        assert scored(tmp_path, tested, name).scoring["caveats"] == (told[0],)


def test_a_run_of_the_same_name_whose_answers_are_others_is_not_taken_for_the_one_that_was_scored(
    tmp_path: Path, train_rows
) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "first", tested)
    answered(tmp_path, "second", tested, predictions="first")
    answered(tmp_path, "first", tested * 2, backend={"model": {"path": trained(tmp_path, "leaky", path="feid")}})
    assert scored(tmp_path, tested, "second").scoring["caveats"] == ()


def test_who_answered_is_known_from_the_run_whose_answers_are_scored(tmp_path: Path) -> None:
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "before", tested, facts={"models": ["simulated-annotator"]})
    assert scored(tmp_path, tested, "before").scoring["models"] == ("simulated-annotator",)


def test_records_without_a_prediction_are_counted_for_the_table(tmp_path: Path) -> None:
    tested = [record(tmp_path / "test", name, "S3") for name in "xyz"]
    answered(tmp_path, "before", tested[:1])
    assert scored(tmp_path, tested, "before").remarks[1:] == ("2 of 3 records have no prediction: unanswered",)


def test_records_without_any_label_are_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    questions = {"constrained": "Which emotion?"}
    tested = [record(tmp_path / "test", "x", "S3")]
    answered(tmp_path, "before", tested)
    for benchmark in (Feab("What?"), EmoSet(questions)):
        with pytest.raises(UserError, match=r"^records=.*none of 1 records has a label that this benchmark scores"):
            scored(tmp_path, tested, "before", benchmark=benchmark)
    places = PictureClasses("place", {"beach": ["beach"], "park": ["park"]}, "Where?")
    with pytest.raises(UserError, match=r"that this benchmark scores: attributes\.place; "):
        scored(tmp_path, tested, "before", benchmark=places)
    elsewhere = [row.model_copy(update={"attributes": {"place": "moon"}}) for row in tested]
    with pytest.raises(UserError, match=r"scores: attributes\.place is moon, none of its classes; "):
        scored(tmp_path, elsewhere, "before", benchmark=places)
    felt = [row.model_copy(update={"attributes": {"emotion": "awe"}}) for row in tested]
    assert scored(tmp_path, felt, "before", benchmark=EmoSet(questions)).records == felt
