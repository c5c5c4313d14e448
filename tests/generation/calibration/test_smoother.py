"""Labels over time: rates from human labels, smoothing, and the gate of held-out human labels."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.label_prior import COLUMN, couplings, tabulate
from seke.core.records import Clip, ImageRecord, Labels
from seke.generation.asked import missing
from seke.generation.calibration import change_rates, film_offset, pilot, smoother
from seke.generation.calibration.annotator_model import Beliefs, Masked
from seke.generation.calibration.change_rates import Video, videos_of
from seke.generation.calibration.posterior import Posterior
from seke.generation.calibration.study import Cell
from seke.generation.run.generate import spans
from seke.generation.seke import over_time

LINKS = couplings([])
UNITS = (1, 4, 12)


def film(rng, source, subject, number, frames=30, gap=0.2, rate=0.6):
    """Return a video of a chain of expressions and of some AUs, and its true labels."""
    name = f"{source}-{subject}-{number}"
    ids = tuple(f"{name}-{k}" for k in range(frames))
    kept = np.exp(-rate * gap)

    def chain(p):
        state = rng.choice(len(p), p=p)
        for _ in range(frames):
            yield int(state)
            state = state if rng.random() < kept else rng.choice(len(p), p=p)

    units = {au: list(chain([1 - LINKS.base_A[COLUMN[au]], LINKS.base_A[COLUMN[au]]])) for au in UNITS}
    mean_D, variance_D = change_rates.moments(LINKS)
    va, values = rng.normal(0, variance_D**0.5), []
    for _ in range(frames):
        values.append(np.clip(mean_D + va, -1, 1))
        va = kept * va + rng.normal(0, (variance_D * (1 - kept**2)) ** 0.5)
    labels = [
        Labels(
            expression=EXPRESSIONS[state],
            valence=round(float(values[k][0]), 2),
            arousal=round(float(values[k][1]), 2),
            action_units={au: bool(units[au][k]) for au in UNITS},
        )
        for k, state in enumerate(chain(LINKS.expression_E))
    ]
    return Video(source, f"{source}/{subject}", ids, tuple(k * gap for k in range(frames))), labels


def seen(rng, labels, noise):
    """Return what an annotator that errs anew in every frame makes one believe; infinite noise: nothing."""
    truth = tabulate(labels)
    error_NE = 0.5 * noise * rng.normal(size=truth.expression_NE.shape)
    score_NE = np.log(LINKS.expression_E) + (2 / noise) * (truth.expression_NE + error_NE)
    p_NE = np.exp(score_NE - score_NE.max(axis=1, keepdims=True))
    p_NE /= p_NE.sum(axis=1, keepdims=True)
    # Log-odds of a normal observation of the truth with this noise.
    said_NA = np.nan_to_num(truth.units_NA) + noise * rng.normal(size=truth.units_NA.shape)
    odds_NA = np.log(LINKS.base_A / (1 - LINKS.base_A)) + (said_NA - 0.5) / noise**2
    _, variance_D = change_rates.moments(LINKS)
    mean_D = change_rates.moments(LINKS)[0]
    sd = 0.5 * noise
    value_ND = truth.va_ND + sd * rng.normal(size=truth.va_ND.shape)
    precision_D = 1 / variance_D + 1 / sd**2
    mean_ND = mean_D + (value_ND - mean_D) / sd**2 / precision_D
    return Beliefs(p_NE, 1 / (1 + np.exp(-odds_NA)), mean_ND, np.broadcast_to(precision_D**-0.5, mean_ND.shape).copy())


def nothing(frames):
    mean_D, variance_D = change_rates.moments(LINKS)
    each = (LINKS.expression_E, LINKS.base_A, mean_D, variance_D**0.5)
    return Beliefs(*(np.tile(value, (frames, 1)) for value in each))


def piloted(rng, destroy=False, subjects=10, noise=0.8):
    """Return what `smoother.fit` gets: a pilot of films all of whose labels are masked, and their beliefs."""
    films = [film(rng, "bp4d", f"s{k // 2}", k) for k in range(2 * subjects)]
    if destroy:
        every = [one for _, labels in films for one in labels]
        dealt = iter(rng.permutation(len(every)))
        films = [(video, [every[next(dealt)] for _ in labels]) for video, labels in films]
    rows = [
        Masked(id=id_, subject=video.group, truth=truth, known=Labels(), draws=(Labels(),), pattern="nothing")
        for video, labels in films
        for id_, truth in zip(video.ids, labels, strict=True)
    ]
    group_N = np.array([int(row.subject.rpartition("s")[2]) for row in rows])
    side_N = group_N % 2
    truth = tabulate(row.truth for row in rows)
    study = SimpleNamespace(
        rows=rows, known=tabulate(row.known for row in rows), truth=truth, side_N=side_N, group_N=group_N,
        sides=[(side_N == side, LINKS, []) for side in (0, 1)],
    )  # fmt: skip
    labels = {row.id: row.truth for row in rows}
    every = [row.truth for row in rows]
    return study, seen(rng, every, noise), nothing(len(rows)), [video for video, _ in films], labels


@cache
def fitted(every, destroy=False, seed=0):
    found = piloted(np.random.default_rng(seed), destroy)
    return smoother.fit(*found, LINKS, every)[0]


def test_smoothing_films_beats_not_smoothing_and_half_of_the_frames_are_enough():
    made = fitted(2)
    assert set(made.options("bp4d")) == {"expression", "va", "au"}
    assert all(judged.overall.sure for judged in made.judged.values())
    assert made.options("bp4d")["au"].power >= 0.5, "its errors are independent, so that every frame counts"
    assert made.every_in("bp4d", ["va"]) in (1, 2)
    rate = made.learnt.rates["bp4d"]
    assert rate.expression == pytest.approx(0.6, rel=0.3)
    assert rate.units_A[COLUMN[12]] == pytest.approx(0.6, rel=0.4)
    assert '"bp4d"' in made.facts()


def test_frames_that_have_nothing_in_common_are_refused_and_all_asked():
    made = fitted(2, destroy=True, seed=2)  # one in twenty seeds seems to gain something: the level of the gate
    assert not made.options("bp4d")
    assert made.every_in("bp4d", ["expression"]) == 1
    assert any("not smoothed in bp4d" in line for line in made.remarks())
    assert any("may be left out only" in line for line in made.remarks())


def test_labels_that_hardly_change_teach_no_rate():
    rng = np.random.default_rng(1)
    video, labels = film(rng, "bp4d", "s0", 0, frames=10, rate=0.01)
    learnt = change_rates.learn([video], dict(zip(video.ids, labels, strict=True)), LINKS)
    assert learnt.unknown == ("expression", "va", "au")
    alone = change_rates.learn([video], dict(zip(video.ids, labels, strict=True)), LINKS, {video.group})
    assert alone.changes == {"expression": 0, "va": 0, "au": 0}


def test_a_human_label_wins_and_informs_its_neighbours_and_distant_frames_keep_their_own():
    video = Video("bp4d", "bp4d/s0", ("a", "b", "c"), (0.0, 0.1, 1000.0))
    known = tabulate([Labels(expression="fear", valence=-0.8, action_units={12: True}), Labels(), Labels()])
    rates = change_rates.Rates(0.5, np.full(len(COLUMN), 0.5), np.array([0.5, 0.5]))
    own = nothing(3)
    options = dict.fromkeys(("expression", "va", "au"), smoother.Option(0.25, offset=False))
    found = smoother.smooth(own, own, known, video.times, rates, options, LINKS, film_offset.none())
    fear = EXPRESSIONS.index("fear")
    assert found.p_NE[1, fear] > 0.9
    assert found.active_NA[1, COLUMN[12]] > 0.9
    assert found.mean_ND[1, 0] < -0.7
    for after, before in zip(found, own, strict=True):
        np.testing.assert_allclose(after[2], before[2], rtol=1e-6, atol=1e-9)
    untouched = smoother.smooth(own, own, known, video.times, rates, {}, LINKS, film_offset.none())
    assert all((a == b).all() for a, b in zip(untouched, own, strict=True))


def record(video, time, number=0, **labels):
    clip = None if video is None else Clip(video=video, time=time)
    return ImageRecord(
        id=f"{video}-{number}-{time}", image="a.jpg", sha256="0", source="bp4d", subject=video, split="train",
        labels=Labels(**labels), clip=clip,
    )  # fmt: skip


def test_videos_without_all_times_are_none():
    rows = [record("a", 1.0), record("a", 0.5), record("b", None), record("b", 1.0), record(None, None)]
    assert [(video.ids, video.times) for video in videos_of(rows)] == [(("a-0-0.5", "a-0-1.0"), (0.5, 1.0))]
    with pytest.raises(UserError, match=r"generator\.smooth=True"):
        over_time.check_videos(rows[2:])


def test_frames_of_a_video_stand_together_in_time():
    rows = [record("a", 1.0), record("b", 0.0), record("a", 0.5), record(None, None, 3)]
    assert [row.id for row in over_time.in_order(rows)] == ["a-0-0.5", "a-0-1.0", "b-0-0.0", "None-3-None"]


def test_chunks_end_with_a_video_and_one_that_was_cut_begins_anew():
    rows = [record("a", k / 10) for k in range(5)] + [record("b", k / 10) for k in range(3)] + [record(None, None, 9)]
    assert list(spans(rows, 0, 3)) == [(0, 0, 3), (3, 3, 6), (6, 6, 9)]
    assert list(spans(rows, 0, 3, whole_videos=True)) == [(0, 0, 5), (5, 5, 8), (8, 8, 9)]
    assert list(spans(rows, 2, 3, whole_videos=True)) == [(0, 2, 5), (5, 5, 8), (8, 8, 9)]
    assert list(spans(rows, 9, 3, whole_videos=True)) == []


def test_every_second_frame_is_asked_about_and_the_others_are_inferred():
    made = fitted(2)
    made = smoother.Smoother(made.learnt, made.offsets, made.links, {
        name: judged._replace(skipping={}, skipping_overall=judged.overall) for name, judged in made.judged.items()
    }, made.sources, 2)  # fmt: skip
    rows = [record("a", k / 10) for k in range(5)]
    assert over_time.to_ask(made, rows, [row.labels for row in rows]) == {rows[k].id for k in (0, 2, 4)}
    belief = Posterior({name: float(name == "fear") for name in EXPRESSIONS}, {12: 0.99}, (-0.7, 0.1), (0.5, 0.1))
    base = dict(zip(EXPRESSIONS, LINKS.expression_E.tolist(), strict=True))
    blind = Posterior(base, {12: float(LINKS.base_A[COLUMN[12]])}, (0.0, 0.6), (0.3, 0.5))
    asked = missing(Labels(action_units={au: False for au in COLUMN if au != 12}))
    frames = [over_time.Frame(row, Labels(), asked, (belief, blind)[k % 2], blind) for k, row in enumerate(rows)]
    found = over_time.informed(made, frames)
    assert set(found) == {row.id for row in rows}
    inferred = found[rows[1].id]
    assert inferred.expression["fear"] > 0.5
    assert set(inferred.action_units) == {12}
    assert inferred.action_units[12] > 0.5
    assert inferred.valence[0] < -0.3


@pytest.mark.parametrize(
    ("how", "argument"),
    [((False, 2, True, False), "ask_every"), ((True, 1, False, False), "smooth"), ((True, 1, True, True), "smooth"),
     ((True, 0, True, False), "ask_every")],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_the_users_mistakes(how, argument):
    with pytest.raises(UserError, match=f"generator.{argument}="):
        over_time.check(*how)


def test_frames_of_a_pilot_are_examples_of_one_pattern_and_lie_in_one_window():
    def labelled(video, k):
        known = {"expression": "fear", "valence": 0.1, "arousal": 0.2, "action_units": dict.fromkeys(COLUMN, False)}
        return record(video, float(k), **(known if video < "m" else {"expression": "fear"} if k % 2 else {}))

    records = [labelled(f"{name}{n}", k) for n in range(4) for name in "az" for k in range(90)]
    tasks = pilot.pick(records, 150, 0, together=True)
    by_video = {}
    for task in tasks:
        by_video.setdefault(task.record.clip.video, []).append(task)
    for each in by_video.values():
        times = sorted({task.record.clip.time for task in each})
        assert len(times) <= pilot.WINDOW
        assert times[-1] - times[0] < pilot.WINDOW
        patterns = [task.lesson.pattern for task in each[:30]]
        assert len(set(patterns)) <= 2


def test_an_option_that_was_not_tried_on_the_half_that_judges_is_not_chosen_on_the_other():
    losses_KNX = np.ones((2, 4, 3))
    losses_KNX[0] = 0.1
    losses_KNX[0, :2] = np.nan
    study = SimpleNamespace(
        options={"shown": ["own", "pooled"]}, losses={"shown": losses_KNX}, hearing=lambda *_: [0, 1]
    )
    cell = Cell(0, 4, None, np.ones(4, dtype=bool))
    assert cell.best(study, "shown", np.array([False, False, True, True])) == ("pooled", 1.0)
