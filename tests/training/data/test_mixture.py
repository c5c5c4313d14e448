"""What to train on: what is read, what `keep` rewrites, what is refused, how a mixture is put together and drawn."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import Labels, Rejection
from seke.training.data.mixture import Data, stream
from seke.training.readers.llava import Llava
from seke.training.readers.mafw import Mafw
from seke.training.readers.row import KEPT, Row, Turn, UnusableError, keep_only

from ...trees import mafw

LABELS = {"expression": "happiness", "valence": 0.5, "arousal": -0.25, "action_units": {"6": True, "12": False}}


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path


def conversation(**changes):
    row = {"id": "1", "image": "a.png", "labels": LABELS, "conversations": [
        {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Said."}]}  # fmt: skip
    return {**row, **changes}


def read_rows(file, root, keep="all"):
    return Llava().read(file, root, keep)


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reads_jsonl_and_json_alike(root):
    lines = write(root / "x.jsonl", conversation(), conversation(id=7))
    whole = root / "x.json"
    whole.write_text(json.dumps([conversation(), conversation(id=7)]))
    one, other = list(read_rows(lines, root)), list(read_rows(whole, root))
    assert one == other
    assert [row.id for row in one] == ["1", "7"]
    assert one[0].turns == (("user", "What?", 1), ("assistant", "Said.", 0))
    assert one[0].images == ((root / "a.png").resolve(),)


@pytest.mark.parametrize("keep", list(KEPT))
def test_keep_rewrites_the_answer_to_one_description(root, keep):
    [row] = read_rows(write(root / "x.jsonl", conversation()), root, keep)
    kept = Labels(**{name: getattr(Labels.model_validate(LABELS), name) for name in KEPT[keep]})
    assert row.turns[-1].text == describe(kept)
    assert extract(row.turns[-1].text) == kept
    assert row.turns[0].text == "What?"


def test_a_row_without_the_kept_description_is_rejected_not_dropped(root):
    file = write(root / "x.jsonl", conversation(labels={**LABELS, "action_units": None}))
    assert [type(found) for found in read_rows(file, root, "au")] == [Rejection]


def test_text_only_and_several_images(root):
    two = conversation(image=["a.png", "a.png"])
    two["conversations"] = [{"from": "human", "value": "<image>\n<image>\nSame?"}, {"from": "gpt", "value": "Yes."}]
    none = {"id": "t", "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hi."}]}
    unplaced = conversation(conversations=[{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Said."}])
    rows = list(read_rows(write(root / "x.jsonl", two, none, unplaced), root))
    assert [row.turns[0].images for row in rows] == [2, 0, 1]


@pytest.mark.parametrize("image", ["missing.png", "../../etc/passwd", "x" * 5000])
def test_a_missing_or_escaping_image_is_rejected(root, image):
    [found] = read_rows(write(root / "x.jsonl", conversation(image=image)), root)
    assert isinstance(found, Rejection) and found.reason == "image"


NOT_CONVERSATIONS = (
    "{",
    '{"id": 1}',
    '{"conversations": []}',
    '{"conversations": [{"from": "cat", "value": ""}]}',
    '{"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]}',
)


@pytest.mark.parametrize("broken", NOT_CONVERSATIONS)
def test_a_broken_row_is_rejected_and_the_others_are_read(root, broken):
    file = root / "x.jsonl"
    good = json.dumps(conversation())
    file.write_text(f"{good}\n{broken}\n{good}\n")
    first, bad, last = read_rows(file, root)
    assert first == last and isinstance(bad, Rejection) and bad.detail


def mixture(root, **parts):
    """A mixture of files of ten rows, called a to z."""
    entries = {}
    for name, more in parts.items():
        file = write(root / f"{name}.jsonl", *[conversation(id=f"{name}{k}") for k in range(10)])
        entries[name] = {"path": str(file), **more}
    return entries


def ids(part, seed=0):
    return [row.id for row in stream(part, seed)]


def test_a_mixture_is_a_list_or_a_mapping(root):
    entries = mixture(root, a={}, b={"weight": 2.5})
    named = Data(mixture=entries).sources(root)
    listed = Data(mixture=list(entries.values())).sources(root)
    assert [part.name for part in named] == ["a", "b"] and [part.name for part in listed] == ["data0", "data1"]
    assert [part.weight for part in named] == [part.weight for part in listed] == [1, 2.5]
    assert [ids(part) for part in named] == [ids(part) for part in listed]


def test_a_part_that_is_null_is_dropped(root):
    [part] = Data(mixture={**mixture(root, a={}, b={}), "a": None}).sources(root)
    assert part.name == "b"


def test_a_parts_own_settings_come_before_the_general_ones(root):
    (root / "elsewhere").mkdir()
    own = {"limit": 2, "keep": "va", "image_root": str(root / "elsewhere"), "reader": (reader := Llava())}
    general = {"limit": 5, "keep": "au"}
    a, b, c = Data(mixture=mixture(root, a=own, b={}, c={"limit": None, "keep": None}), **general).sources(root)
    assert (a.limit, a.keep, a.root, a.reader) == (2, "va", root / "elsewhere", reader)
    assert (b.limit, b.keep, b.root) == (c.limit, c.keep, c.root) == (5, "au", root)


def test_a_limit_draws_at_random_by_the_seed_in_the_order_of_the_file(root):
    [part] = Data(mixture=mixture(root, a={"limit": 4})).sources(root)
    draws = [ids(part, seed) for seed in range(5)]
    assert all(len(draw) == 4 and draw == sorted(draw) for draw in draws)
    assert ids(part, 0) == draws[0] and len(set(map(tuple, draws))) > 1
    assert ids(part._replace(limit=99)) == ids(part._replace(limit=None))


def test_a_limit_keeps_the_shares_of_sources(root):
    lines = [conversation(id=f"{name}{k}", source=name) for name, size in (("x", 30), ("y", 10)) for k in range(size)]
    [part] = Data(path=str(write(root / "two.jsonl", *lines)), limit=8).sources(root)
    for seed in range(3):
        drawn = ids(part, seed)
        assert (len(drawn), sum(name.startswith("y") for name in drawn)) == (8, 2)


def test_a_limit_counts_rows_that_can_be_used(root):
    broken = [conversation(id=f"x{k}", image="gone.png") for k in range(5)]
    file = write(root / "x.jsonl", *broken, conversation(id="ok"), conversation(id="fine"))
    [part] = Data(path=str(file), limit=2).sources(root)
    assert [row.id for row in stream(part) if isinstance(row, Row)] == ["ok", "fine"]


def test_a_frame_is_taken_from_its_video_when_its_row_is_drawn(tmp_path):
    mafw.make(tmp_path)
    reader = Mafw(question="?", naming="{emotion}")
    [part] = Data(path=str(tmp_path), reader=reader, limit=2).sources(tmp_path)
    rows = [row for row in stream(part, seed=1) if isinstance(row, Row)]
    assert len(rows) == 2 and all(row.images[0].is_file() and row.frame is None for row in rows)
    taken = list((tmp_path / "frames").glob("*")) if (tmp_path / "frames").exists() else []
    assert len(taken) == sum(row.images[0].parent == tmp_path / "frames" for row in rows)


def test_a_video_that_cannot_be_decoded_rejects_its_row(tmp_path):
    mafw.make(tmp_path)
    (tmp_path / "data" / "clips" / "00002.mp4").write_bytes(b"no video")
    [part] = Data(path=str(tmp_path), reader=Mafw(question="?", naming="{emotion}")).sources(tmp_path)
    [broken] = [row for row in stream(part) if isinstance(row, Rejection) and row.id == "00002"]
    assert broken.reason == "no image" and "cannot be decoded" in broken.detail


def test_the_watched_part_is_whole_and_never_mixed(root):
    file = write(root / "v.jsonl", conversation(), conversation(id="2"))
    data = Data(mixture=mixture(root, a={}), validation=str(file), limit=1)
    assert data.watched(root).limit is None and ids(data.watched(root)) == ["1", "2"]
    assert Data(path=str(file)).watched(root) is None


@given(st.dictionaries(st.sampled_from([1, 2, 4, 6, 12, 26]), st.just(True), min_size=1))
def test_units_known_only_where_active_are_never_an_answer(units):
    with pytest.raises(UnusableError, match="only active"):
        keep_only((Turn("user", "?", 0), Turn("assistant", "x", 0)), Labels(action_units=units), "au")


def test_seventeen_active_units_are_an_answer():
    every = Labels(action_units=dict.fromkeys(ACTION_UNITS, True))
    assert keep_only((Turn("assistant", "x", 0),), every, "au")[0].text == describe(every)


def test_half_a_character_is_no_text(root):
    file = root / "x.jsonl"
    file.write_text(json.dumps(conversation()).replace("Said.", "\\ud83d"))
    [bad] = read_rows(file, root)
    assert isinstance(bad, Rejection) and "half a character" in bad.detail


WRONG_SETTINGS = (
    {"path": None},
    {"path": "a", "mixture": [{"path": "b"}]},
    {"mixture": [{"path": "b", "weight": 0}]},
    {"path": "a", "keep": "aus"},
    {"path": "a", "label_mask": "all"},
    {"path": "a", "cache": "yes"},
    {"path": "a", "limit": 0},
    {"mixture": {"x": {"path": "b", "weight": float("nan")}}},
    {"mixture": {"x": {"path": "b", "limit": -1}}},
    {"mixture": {"x": {"path": "b", "keep": "aus"}}},
    {"mixture": {"x": {"file": "b"}}},
    {"mixture": {"x": "b"}},
    {"mixture": {"x": None}},
)


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_wrong_settings_are_users_mistakes(wrong):
    with pytest.raises(UserError, match=r"^data\."):
        Data(**wrong)


def test_a_run_that_is_not_there_is_named(root):
    with pytest.raises(UserError, match=r"data\.path=nothing.*generate"):
        Data(path="nothing").sources(root)


def test_a_dataset_that_is_not_there_is_named_with_its_part(root):
    data = Data(mixture={"mafw": {"path": str(root / "MAFW")}})
    with pytest.raises(UserError, match=r"^data\.mixture\.mafw\.path=.*MAFW: no such file or folder"):
        data.sources(root)


def test_a_folder_is_no_file_of_conversations(root):
    with pytest.raises(UserError, match=r"no instructions\.jsonl in it, found a\.png"):
        Data(path=str(root)).sources(root)


@pytest.mark.parametrize(
    ("workers", "decoding", "on_gpu", "cores", "processes"),
    [(None, True, True, 16, 8), (None, True, True, 3, 3), (None, True, True, 0, 1), (None, False, True, 16, 0),
     (None, True, False, 16, 0), (2, False, False, 1, 2), (0, True, True, 16, 0)],
)  # fmt: skip
def test_processes_decode_where_a_gpu_would_wait(workers, decoding, on_gpu, cores, processes):
    assert Data(path="x", workers=workers).processes(decoding, on_gpu, cores) == processes


@pytest.mark.parametrize("split", ["test", "Testing", "holdout"])
def test_rows_that_say_they_are_for_testing_are_watched_but_never_trained_on(root, split):
    file = write(root / "x.jsonl", conversation(split="train"), conversation(id="2", split=split))
    for limit in (None, 1):
        first, other = stream(Data(path=str(file), limit=limit).sources(root)[0])
        assert isinstance(first, Row) and isinstance(other, Rejection)
        assert (other.id, other.reason) == ("2", "held out")
    watched = Data(path=str(file), validation=str(file)).watched(root)
    assert [row.id for row in stream(watched)] == ["1", "2"]


def test_a_hash_that_is_no_text_rejects_its_row(root):
    [row] = read_rows(write(root / "x.jsonl", conversation(sha256=5)), root)
    assert isinstance(row, Rejection) and row.detail == "sha256 is a number, not text"


def test_a_share_draws_rows_of_which_a_smaller_one_takes_some(root):
    write(root / "x.jsonl", *(conversation(id=str(k)) for k in range(40)))

    def drawn(share, seed=0):
        [part] = Data(path=str(root / "x.jsonl"), share=share).sources(root)
        return {row.id for row in stream(part, seed)}

    found = [drawn(share) for share in (0.1, 0.25, 0.5, 1.0)]
    assert [len(rows) for rows in found] == [4, 10, 20, 40]
    assert all(small < large for small, large in pairwise(found))
    assert drawn(0.5) != drawn(0.5, seed=1)


@pytest.mark.parametrize("share", [0, -0.1, 1.5, "half", True])
def test_a_share_that_is_none_is_refused(root, share):
    with pytest.raises(UserError, match=r"data\.share"):
        Data(path="x", share=share)


def test_a_share_beside_a_limit_is_refused():
    with pytest.raises(UserError, match=r"data\.limit=3"):
        Data(path="x", share=0.5, limit=3)
