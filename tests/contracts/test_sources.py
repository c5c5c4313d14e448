"""What every source of conf/source/ promises (`seke.sources.base.source.Source`), each on the miniature of its dataset.

A new one is found by its YAML. One that reads files needs tests/trees/<name>.py; nothing else is to be added here.
"""

from pathlib import Path
from typing import NamedTuple

import pytest
from omegaconf import DictConfig

from seke.core.errors import UserError
from seke.core.images import resolve
from seke.core.records import ImageRecord, Rejection
from seke.sources.base.source import Source
from seke.sources.prepare import inventory
from seke.sources.prepare.image_check import ImageChecks
from seke.sources.prepare.prepare import choose, listed

from .offered import built, composed, miniature, options

READS = {"root", "sources", "records"}
"""Settings that say what a source reads."""


class Made(NamedTuple):
    """A source on its miniature."""

    name: str
    settings: DictConfig
    run_path: Path
    """Where a run of `prepare` would put its results."""

    def source(self) -> Source:
        """Return the source, made anew."""
        return built(self.settings.source)


def settings_of(name: str, data: Path) -> DictConfig:
    """Return the settings of prepare: a source without a root of its own, if it takes one, is given a folder."""
    found = composed("prepare", f"source={name}", f"paths.data={data}")
    extra = []
    if "root" in found.source and found.source.root is None:
        extra = [f"source.root={data / name}"]
    elif "records" in found.source:
        extra = [f"source.records={data / name}"]
    elif isinstance(found.source.get("images"), int):
        extra = ["source.images=30", "source.workers=1"]  # it draws them itself
    return composed("prepare", f"source={name}", f"paths.data={data}", *extra) if extra else found


@pytest.fixture(scope="module", params=options("source"))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp(request.param)
    settings = settings_of(request.param, base / "data")
    if READS & set(settings.source):
        place = settings.source.get("root") or settings.source.get("records") or base / "data"
        miniature("source", request.param, base / "data", Path(place))
    run_path = base / "outputs" / "prepare" / "toy"
    run_path.mkdir(parents=True)
    return Made(request.param, settings, run_path)


@pytest.fixture(scope="module")
def rows(made: Made) -> tuple[list[ImageRecord], list[Rejection]]:
    """The records, whose format their class holds, and what is rejected; two records of one id would be an error."""
    return listed(made.source(), made.run_path)


def reading(made: Made) -> Source:
    """Return the source after it has read, which `fetch` may rely on."""
    source = made.source()
    listed(source, made.run_path)
    return source


def frames_of(record: ImageRecord) -> tuple[str, ...]:
    """Return the frames that are shown of a record's clip."""
    return record.clip.frames if record.clip else ()


def test_it_offers_what_prepare_asks(made: Made) -> None:
    source = made.source()
    assert isinstance(source, Source)
    for file in source.inputs.values():
        assert all(path.exists() for path in ([file] if isinstance(file, Path) else file))
    assert all(root.is_dir() for root in source.roots(made.run_path))


def test_it_gives_records_whose_pictures_lie_below_the_root(made: Made, rows) -> None:
    records, rejected = rows
    root = made.run_path / made.source().image_root(made.run_path)
    assert records
    assert all(row.id and row.reason for row in rejected)
    source = reading(made)
    lost = {row.id for row in source.fetch(records)}
    assert lost != {record.id for record in records}
    seen = [source.shown(record) for record in records if record.id not in lost]
    assert all(resolve(root, image) for record in seen for image in (record.image, *frames_of(record)))
    assert made.settings.source.get("split", "train") in {record.split for record in records}


def test_it_gives_the_same_rows_in_the_same_order_again(made: Made, rows) -> None:
    assert listed(made.source(), made.run_path) == rows


def test_a_draw_is_of_the_pool_and_the_same_again(made: Made, rows) -> None:
    records, _ = rows
    drawn = list(made.source().draw(records))
    assert drawn == list(made.source().draw(records))
    assert {record.id for record in drawn} <= {record.id for record in records}
    assert len({record.id for record in drawn}) == len(drawn)


def test_a_broken_picture_is_rejected_and_the_others_stay(made: Made, rows) -> None:
    records, _ = rows
    source, root = reading(made), made.run_path / made.source().image_root(made.run_path)
    lost = {row.id for row in source.fetch(records)}
    victim = source.shown(next(record for record in source.draw(records) if record.id not in lost))
    file = root / victim.image
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        looks = ImageChecks(root, made.run_path / "looks.jsonl", workers=1)
        chosen = choose(source, records, looks, limit=None, seed=0, distance=None)
    finally:
        file.write_bytes(whole)
    assert [row.reason for row in chosen.rejected if row.id == victim.id] == ["bad image"]
    assert victim.id not in {record.id for record in chosen.records}
    assert all(record.sha256 for record in chosen.records)
    assert len(chosen.records) > 0


def test_reading_changes_nothing_on_the_disk(made: Made) -> None:
    before = inventory.take(made.source(), made.run_path).marks
    listed(made.source(), made.run_path)
    assert inventory.take(made.source(), made.run_path).marks == before


def test_a_missing_root_is_told_in_one_line(made: Made, tmp_path: Path) -> None:
    settings = settings_of(made.name, tmp_path / "nowhere").source
    if not READS & set(settings):
        return  # it draws what it gives
    with pytest.raises(UserError, match=r"^(source\.[a-z0-9_.]*root|source\.records|paths\.data)=.*; \S") as caught:
        listed(built(settings), tmp_path)
    assert "\n" not in str(caught.value)
