"""Pictures whose folders name the expression: FER2013, CK+48, RAF-DB and AffectNet as they go round."""

import pytest

from seke.core.affect import EXPRESSIONS
from seke.core.class_words import CONVENTIONS, word
from seke.core.errors import UserError
from seke.sources.faces_datasets.class_folders import ClassFolders

from ...trees.pictures import save
from ..rows import by_id

FER = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "neutral": "neutral",
    "sad": "sadness", "surprise": "surprise",
}  # fmt: skip


def read(root, **settings):
    return by_id(ClassFolders(str(root), **settings).read(root))


def make(root, *folders, each=2):
    for folder in folders:
        for number in range(each):
            save(root / folder / f"{folder.replace('/', '_')}_{number}.jpg")
    return root


def labels(records):
    return {record.image.split("/")[-2]: record.labels.expression for record in records.values()}


def test_fer2013_keeps_its_test_side_and_gives_part_of_training_to_validation(tmp_path):
    make(tmp_path, *(f"{side}/{name}" for side in ("train", "test") for name in FER), each=9)
    records, rejected = read(tmp_path, validation_share=0.3)
    assert not rejected and len(records) == 9 * 14
    assert labels(records) == FER
    sides = {(record.image.partition("/")[0], record.split) for record in records.values()}
    assert sides == {("train", "train"), ("train", "validation"), ("test", "test")}
    assert all(record.subject is None and record.source == "class_folders" for record in records.values())


def test_a_validation_folder_leaves_training_whole(tmp_path):
    make(tmp_path, *(f"{side}/{n}" for side in ("train", "val", "test") for n in range(8)))
    records, _ = read(tmp_path, classes="affectnet", name="affectnet", validation_share=0.5)
    assert {(row.image.partition("/")[0], row.split) for row in records.values()} == {
        ("train", "train"), ("val", "validation"), ("test", "test"),
    }  # fmt: skip
    assert labels(records) == {str(n): expression for n, expression in enumerate(EXPRESSIONS)}
    assert "affectnet/val/0/val_0_0.jpg" in records


def test_people_of_ck48_stay_on_one_side(tmp_path):
    words = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    for person in range(10, 50):
        for name in words[person % 7 :][:2]:
            save(tmp_path / "CK+48" / name / f"S0{person}_004_000000{person}.png")
    records, _ = read(tmp_path, test_share=0.3, validation_share=0.3)
    sides = {}
    for record in records.values():
        sides.setdefault(record.subject, set()).add(record.split)
    assert set(sides) == {f"S0{person}" for person in range(10, 50)}
    assert all(len(split) == 1 for split in sides.values())
    assert {side for split in sides.values() for side in split} == {"train", "validation", "test"}
    assert read(tmp_path, subject=None)[0]["class_folders/CK+48/anger/S014_004_00000014.png"].subject is None


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_numbers_are_read_by_the_stated_convention(tmp_path, convention):
    numbers = [n for n, expression in CONVENTIONS[convention].items() if expression]
    make(tmp_path, *(f"DATASET/{side}/{n}" for side in ("train", "test") for n in numbers))
    records, _ = read(tmp_path, classes=convention)
    assert labels(records) == {str(n): CONVENTIONS[convention][n] for n in numbers}


@pytest.mark.parametrize(
    ("numbers", "classes", "complaint"),
    [
        (
            range(1, 8),
            None,
            "classes called 1, 2, 3, 4, 5, 6, 7: numbers mean other .*; set source.classes=raf_db, aff",
        ),
        (range(7), "raf_db", "its classes go from 1 to 7, those here are 0, 1, 2, 3, 4, 5, 6"),
        (range(1, 9), "affectnet", "its classes go from 0 to 6 or 7, those here are 1"),
        (range(1, 8), "fer2013", "its classes go from 0 to 6, those here are 1"),
        (range(8), "fer2013", "its classes go from 0 to 6, those here are 0"),
        (range(3), "fer2013", "say what each"),
    ],
)
def test_numbers_are_never_guessed_and_must_fit(tmp_path, numbers, classes, complaint):
    make(tmp_path, *(f"train/{n}" for n in numbers))
    with pytest.raises(UserError, match=complaint):
        read(tmp_path, classes=classes)


def test_classes_that_are_no_expression_are_rejected_and_counted(tmp_path):
    make(tmp_path, *map(str, range(11)))
    records, rejected = read(tmp_path, classes="affectnet")
    assert len(records) == 16
    assert {row.detail for row in rejected.values()} == {f"the class {n} is no expression" for n in (8, 9, 10)}


def test_names_of_ones_own_are_mapped(tmp_path):
    make(tmp_path, "joie", "0", "ennui", "anger")
    records, rejected = read(tmp_path, classes={"Joie": "happiness", 0: "fear", "ennui": None})
    assert labels(records) == {"joie": "happiness", "0": "fear", "anger": "anger"}
    assert len(rejected) == 2


@pytest.mark.parametrize("folder", ["Angry", "0_angry", "3. Anger", "ANGER"])
def test_a_folder_may_be_numbered_and_in_any_case(tmp_path, folder):
    make(tmp_path, folder, "sad")
    assert labels(read(tmp_path)[0])[folder] == "anger"


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        (
            "train/angr",
            r"the folder train/angr \(2 pictures\) names no expression; did you mean angry\? rename it, or set ",
        ),
        ("train/joie", r"names no expression; set 'source.classes=\{joie: null\}'"),
        ("train/Happily Surprised", "names no expression"),
        ("train/fear/anger", "train/fear/anger names two classes"),
        ("unseen/fear", r"the folder unseen \(beside train\) is not known"),
        ("fear", r"the folder itself \(beside train\) is not known"),
    ],
)
def test_a_folder_that_names_nothing_is_refused(tmp_path, folder, complaint):
    make(tmp_path, "train/fear", "train/sad", folder)
    with pytest.raises(UserError, match=complaint):
        read(tmp_path)


def test_a_table_that_says_otherwise_rejects_its_picture(tmp_path):
    make(tmp_path, *(f"{side}/{n}" for side in ("train", "test") for n in range(1, 8)))
    rows = [f"train_{n}_0.jpg,{n}" for n in range(1, 8)]
    (tmp_path / "train_labels.csv").write_text("\n".join(["image,label", *rows[:-1], "train_7_0.jpg,3", "gone.jpg,1"]))
    (tmp_path / "labels.csv").write_text(
        ",pth,label,relFCs\n0,test/1/test_1_0.jpg,happy,0.8\n1,test/2/test_2_0.jpg,fear,0.9\n"
    )
    (tmp_path / "notes_labels.csv").write_text("a,b\n1,2\n")
    records, rejected = read(tmp_path, classes="raf_db")
    assert len(records) == 26
    assert {id_: row.detail for id_, row in rejected.items()} == {
        "class_folders/train/7/train_7_0.jpg": "its folder says 7, and train_labels.csv, line 8 says 3",
        "class_folders/test/1/test_1_0.jpg": "its folder says 1, and labels.csv, line 2 says happy",
    }  # fmt: skip
    assert set(ClassFolders(str(tmp_path)).inputs) == {"train_labels.csv", "labels.csv", "notes_labels.csv"}


@pytest.mark.parametrize("name", ["test.csv", "val_list.txt", "Test_Labels.csv"])
def test_a_split_in_a_list_that_is_not_read_is_refused_unless_folders_tell_it(tmp_path, name):
    make(tmp_path / "one", "fear", "sad")
    (tmp_path / "one" / name).write_text("image\n")
    with pytest.raises(UserError, match=rf"{name} lies in it, which is not read, .*; put its pictures into a folder"):
        read(tmp_path / "one")
    assert len(read(tmp_path / "one", splits={name: None})[0]) == 4
    make(tmp_path / "two", "train/fear", "test/sad")
    (tmp_path / "two" / name).write_text("image\n")
    assert len(read(tmp_path / "two")[0]) == 4


def test_pictures_beside_the_classes_are_counted(tmp_path):
    make(tmp_path, "train/fear")
    save(tmp_path / "overview.png")
    save(tmp_path / "train" / "x.png")
    _, rejected = read(tmp_path)
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "class_folders/overview.png": "no label", "class_folders/train/x.png": "no label",
    }  # fmt: skip


def test_a_folder_without_classes_says_what_was_looked_for(tmp_path):
    make(tmp_path, "train/images")
    with pytest.raises(UserError, match="no pictures in folders called angry, happy, sad"):
        read(tmp_path)


@pytest.mark.parametrize("root", ["test", "FER_Test"])
def test_the_root_itself_may_be_a_side(tmp_path, root):
    make(tmp_path / root, "fear", "sad")
    sides = {record.split for record in read(tmp_path / root)[0].values()}
    assert sides == ({"test"} if root == "test" else sides)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"classes": "raf"}, "source.classes=raf: no such convention; use raf_db"),
        ({"classes": {"a": "joy"}}, "source.classes.a=joy: none of the eight"),
        ({"classes": ["a"]}, "source.classes="),
        ({"splits": "test"}, "source.splits=test"),
        ({"subject": "("}, "source.subject="),
        ({"subject": "S"}, "source.subject=S: it has no group"),
        ({"name": "a/b"}, "source.name=a/b"),
    ],
)
def test_a_bad_setting_is_refused(tmp_path, settings, complaint):
    with pytest.raises(UserError, match=complaint):
        ClassFolders(str(tmp_path), **settings)


def test_words_are_whole_and_known():
    assert [word(name) for name in ("Happy", " SAD ", "happyish", "", "7", "sadness")] == [
        "happiness", "sadness", None, None, None, "sadness",
    ]  # fmt: skip


def test_through_the_command(cli, tmp_path):
    make(tmp_path / "fer", *(f"{side}/{name}" for side in ("train", "test") for name in FER))
    words = ("prepare", "source=class_folders", f"source.root={tmp_path / 'fer'}", f"paths.outputs={tmp_path}")
    done = cli(*words, "name=fer", "source.name=fer2013", "source.validation_share=0")
    assert done.returncode == 0, done.stderr
    assert "14 train, 0 validation, 14 test" in done.stdout
    assert "folders: angry -> anger (4), disgust -> disgust (4), " in done.stdout
    assert "advice: no picture shows: contempt\n" in done.stdout
    make(tmp_path / "fer", "unseen/joie")
    lost = cli(*words, "name=other", "source.classes={joie: happiness}")
    assert lost.returncode == 2 and lost.stderr.startswith("error: source.root=") and "unseen" in lost.stderr
    said = cli(*words, "name=other", "source.classes={joie: happiness}", "source.splits={unseen: test}")
    assert said.returncode == 0, "a command that was refused leaves its name to the next one"
    refused = cli(*words, "name=other", "source.splits={train: null, test: null}", "source.classes=affectnt")
    assert refused.returncode == 2 and refused.stderr.startswith("error: source.classes=affectnt: ")
