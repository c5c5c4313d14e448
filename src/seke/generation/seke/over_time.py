"""Labels over time in a run: which frames of a video are asked about, and what their neighbours say of the others."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.label_prior import COLUMN, tabulate
from seke.core.records import ImageRecord, Labels
from seke.core.setting_checks import check_whole
from seke.generation.asked import Asked
from seke.generation.calibration.annotator_model import Beliefs
from seke.generation.calibration.change_rates import videos_of
from seke.generation.calibration.held_out import nothing_believed
from seke.generation.calibration.patterns import asked_of
from seke.generation.calibration.posterior import Posterior
from seke.generation.calibration.smoother import Smoother

SMOOTHED: Final = "smoothed"
"""The flag of a row whose labels neighbouring frames have moved."""
INFERRED: Final = "inferred_from_neighbours"
"""The flag of a row about which nobody was asked, since its neighbours were."""


def check(smooth: bool, ask_every: int, calibrated: bool, by_value: bool) -> None:
    """Refuse settings that do not go together.

    Raises:
        UserError: for the first of them.
    """
    check_whole("generator.ask_every", ask_every, 1, 1000)
    if ask_every > 1 and not smooth:
        problem = "frames that are not asked about are inferred from their neighbours"
        raise UserError("generator.ask_every", ask_every, problem, "set generator.smooth=true, too")
    if smooth and not calibrated:
        problem = "what a calibrated annotator model believes is smoothed"
        raise UserError("generator.smooth", True, problem, "set generator.aggregate=calibrated")
    if smooth and by_value:
        raise UserError("generator.smooth", True, "two annotators are asked by value here", "use another stopping=")


def check_videos(records: Sequence[ImageRecord]) -> None:
    """Refuse to smooth what is no video.

    Raises:
        UserError: if no video has two frames with times.
    """
    if all(len(video.ids) < 2 for video in videos_of(records)):
        problem = "no two of these records are frames of one video with their times (clip.video, clip.time)"
        raise UserError("generator.smooth", True, problem, "leave it out, or prepare a source of videos")


def in_order(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records with a video's frames together and in time, where the first of them stands."""
    videos: dict[tuple[str, str], list[ImageRecord]] = {}
    for record in records:
        key = (record.source, record.clip.video) if record.clip is not None else ("", record.id)
        videos.setdefault(key, []).append(record)

    def time(record: ImageRecord) -> float:
        return record.clip.time if record.clip is not None and record.clip.time is not None else 0.0

    return [record for rows in videos.values() for record in sorted(rows, key=time)]


class Frame(NamedTuple):
    """One record as far as its neighbours are concerned."""

    record: ImageRecord
    known: Labels
    """Human labels that may be used."""
    asked: Asked
    """What is to be labelled."""
    belief: Posterior | None
    """What is believed of it by itself; None where nothing is."""
    alone: Posterior | None
    """The same if nobody had been asked about it."""


def to_ask(smoother: Smoother, records: Sequence[ImageRecord], known: Sequence[Labels]) -> set[str]:
    """Return the ids of the records that are asked about: of a video's frames every n-th, where that is allowed."""
    left_out: set[str] = set()
    asked = {record.id: tuple(asked_of(labels)) for record, labels in zip(records, known, strict=True)}
    for video in videos_of(records):
        for place, id_ in enumerate(video.ids):
            if place % smoother.every_in(video.source, asked[id_]):
                left_out.add(id_)
    return {record.id for record in records} - left_out


def informed(smoother: Smoother, frames: Sequence[Frame]) -> dict[str, Posterior]:
    """Return what is believed of each frame of a video, given all of them; videos of refused sources are left out."""
    by_id: Mapping[str, Frame] = {frame.record.id: frame for frame in frames}
    found: dict[str, Posterior] = {}
    for video in videos_of(frame.record for frame in frames):
        if len(video.ids) < 2 or not smoother.options(video.source):
            continue
        these = [by_id[id_] for id_ in video.ids]
        own, alone = _rows([frame.belief for frame in these]), _rows([frame.alone for frame in these])
        beliefs = smoother.smoothed(video, own, alone, tabulate(frame.known for frame in these))
        for row, frame in enumerate(these):
            if frame.belief is not None:
                asked = frame.asked
                dims = (asked.valence, asked.arousal)
                found[frame.record.id] = beliefs.of(row, asked.expression, asked.action_units, dims)
    return found


def _rows(each: Sequence[Posterior | None]) -> Beliefs:
    """Return what is believed of frames as arrays; NaN where there is nothing."""
    beliefs = nothing_believed(len(each))
    for row, belief in enumerate(each):
        if belief is None:
            continue
        if belief.expression is not None:
            beliefs.p_NE[row] = [belief.expression[name] for name in EXPRESSIONS]
        for au, p in belief.action_units.items():
            beliefs.active_NA[row, COLUMN[au]] = p
        for place, value in enumerate((belief.valence, belief.arousal)):
            if value is not None:
                beliefs.mean_ND[row, place], beliefs.sd_ND[row, place] = value
    return beliefs
