from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import AUS_OF_SOURCE, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, read_jsonl
from seke.sources.prepare.prepare import write
from seke.sources.prepare.statistics import SPLITS, TABLE1
from seke.sources.synthetic.faces import Job, Synthetic, latent, proportional, render

from ..rows import fetched


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    records = fetched(Synthetic(images=320, size=48), path)
    return path, records, list(read_jsonl(path / "truth.jsonl", ImageRecord))


def test_records_carry_what_their_dataset_would_and_truth_carries_all(prepared):
    path, records, truth = prepared
    assert len(records) == len(truth) == 320
    for record, whole in zip(records, truth, strict=True):
        assert (record.id, record.image, record.sha256, record.split) == (
            whole.id, whole.image, whole.sha256, whole.split,
        )  # fmt: skip
        assert whole.labels.complete
        occurring = whole.labels.model_copy(update={"au_intensity": None})
        assert record.labels.completed_by(whole.labels) == occurring, "a dataset never contradicts the truth"
        assert {str(au): value for au, value in whole.labels.au_intensity.items()} == whole.attributes["au_intensity"]
        carries = TABLE1[record.source].labels
        assert (record.labels.expression is not None) == ("EXP" in carries)
        assert (record.labels.valence is not None) == (record.labels.arousal is not None) == ("VA" in carries)
        assert tuple(record.labels.action_units or ()) == (AUS_OF_SOURCE[record.source] if "AU" in carries else ())
        assert (record.subject is None) == (record.source in ("raf_db", "affectnet"))
        assert sha256((path / "images" / record.image).read_bytes()) == record.sha256
        assert len(whole.attributes["au_intensity"]) == 17
        assert "au_intensity" not in record.attributes
        assert "person" not in record.attributes


def test_no_person_is_on_two_sides_even_where_rows_name_nobody(prepared):
    sides = defaultdict(set)
    for row in prepared[2]:
        sides[row.attributes["person"]].add(row.split)
    assert max(map(len, sides.values())) == 1
    assert {side for split in sides.values() for side in split} == {"train", "validation", "test"}


def test_pictures_are_all_different(prepared):
    assert len({record.sha256 for record in prepared[1]}) == 320


def test_sources_lack_the_expressions_that_the_real_ones_lack():
    shown = {source: Counter(latent(0, source, index)[0].expression for index in range(560)) for source in TABLE1}
    assert "neutral" not in shown["ck_plus"]
    assert "contempt" not in shown["raf_db"]
    assert "contempt" not in shown["aff_wild2"]
    for source in ("ck_plus", "raf_db", "affectnet", "aff_wild2"):
        assert len(set(shown[source].values())) == 1, "expression datasets are balanced"
    for source in ("disfa", "bp4d"):
        assert set(shown[source]) == set(EXPRESSIONS)


def test_a_subject_keeps_its_identity_and_another_seed_changes_it():
    people = [latent(0, "disfa", index)[1] for index in range(20)]
    assert len(set(people[:10])) == len(set(people[10:])) == 1
    assert people[0] != people[10]
    assert latent(1, "disfa", 0)[1] != people[0]


def test_more_images_leave_the_earlier_ones_as_they_are(prepared, tmp_path):
    job = Job(0, "bp4d", range(3), 48, tmp_path)
    expected = [r.sha256 for r in prepared[1] if r.source == "bp4d"][:3]
    assert render(job) == expected


def test_only_what_is_kept_is_drawn_and_it_is_what_all_of_them_would_hold(prepared, tmp_path):
    path, records, truth = prepared
    counts = write(Synthetic(images=320, size=48), tmp_path, limit=12, near_duplicate=None)
    kept = [row for split in SPLITS for row in read_jsonl(tmp_path / f"{split}.jsonl", ImageRecord)]
    ids = {row.id for row in kept}
    assert len(ids) == 12 and counts["not_drawn"] == 308
    assert {row.id: row for row in kept} == {row.id: row for row in records if row.id in ids}
    assert list(read_jsonl(tmp_path / "truth.jsonl", ImageRecord)) == [row for row in truth if row.id in ids]
    drawn = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.glob("images/*/*")}
    assert drawn == {f"images/{row.image}": (path / "images" / row.image).read_bytes() for row in kept}


def test_worker_processes_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(Synthetic, "one_process", 1)
    rows = {}
    for workers in (1, 2):
        path = tmp_path / str(workers)
        path.mkdir()
        rows[workers] = fetched(Synthetic(images=40, size=32, workers=workers), path)
    assert rows[1] == rows[2]
    assert (tmp_path / "1/truth.jsonl").read_bytes() == (tmp_path / "2/truth.jsonl").read_bytes()


def test_a_resumed_run_keeps_whole_pictures_and_redraws_cut_ones(tmp_path):
    job = Job(0, "ck_plus", range(3), 48, tmp_path)
    digests = render(job)
    whole, cut, gone = sorted(tmp_path.iterdir())
    kept = whole.stat().st_mtime_ns
    cut.write_bytes(cut.read_bytes()[:-40])
    gone.unlink()
    assert render(job) == digests
    assert whole.stat().st_mtime_ns == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == [whole.name, cut.name, gone.name]


@given(st.integers(6, 100_000))
def test_proportions_against_table_1(total):
    weights = {name: row.train + row.test for name, row in TABLE1.items()}
    shares = proportional(total, weights)
    assert sum(shares.values()) == total
    whole = sum(weights.values())
    for name, share in shares.items():
        assert share >= 1
        assert abs(share - total * weights[name] / whole) <= 2


def test_table_1_adds_up_to_feid_and_feab():
    assert sum(row.train for row in TABLE1.values()) == 26238
    assert sum(row.test for row in TABLE1.values()) == 3035


@pytest.mark.parametrize(
    ("setting", "value"), [("images", 5), ("images", "many"), ("size", 8), ("workers", 0), ("validation_share", 2)]
)
def test_impossible_settings_are_the_users_mistakes(setting, value):
    with pytest.raises(UserError, match=f"source.{setting}={value}"):
        Synthetic(**{setting: value})
