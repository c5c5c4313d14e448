"""Which frames of a clip are shown: against LLaVA-NeXT's sampling, and what holds of any clip."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seke.core.clip_frames import ClipError, FrameChoice, chosen
from seke.core.errors import UserError

TIMES = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=120).map(lambda gaps: [0.0, *np.cumsum(gaps).tolist()])
CHOICES = st.builds(
    FrameChoice, st.integers(2, 40), st.sampled_from(("whole", "peak")), st.none() | st.floats(0.01, 2.0)
)


@given(st.integers(2, 400), st.integers(2, 64))
def test_even_frames_against_llava_nexts_sampling(count, shown):
    expected = np.linspace(0, count - 1, min(shown, count), dtype=int).tolist()
    found = list(chosen(FrameChoice(shown), [None] * count))
    assert np.abs(np.subtract(found, expected)).max() <= 1  # linspace rounds a whole number down, now and then
    assert (found[0], found[-1], len(found)) == (0, count - 1, len(expected))


@given(CHOICES, TIMES, st.data())
def test_frames_ascend_are_in_the_clip_and_hold_the_peak(choice, times, data):
    peak = data.draw(st.integers(0, len(times) - 1))
    try:
        found = chosen(choice, times, peak)
    except ClipError:
        assume(choice.every is None)  # a frame every so often may be one frame alone, and nothing else may fail
        raise
    assert list(found) == sorted(set(found)) and 2 <= len(found) <= choice.shown
    assert found[0] >= 0 and found[-1] < len(times)
    if choice.around == "peak":
        assert peak in found


@given(st.integers(2, 20), st.integers(20, 200), st.data())
def test_frames_around_a_peak_are_as_many_as_wanted_wherever_it_lies(shown, count, data):
    peak = data.draw(st.integers(0, count - 1))
    found = chosen(FrameChoice(shown, "peak"), [None] * count, peak)
    assert len(found) == shown and np.all(np.diff(found) == 1)
    times = [k / 10 for k in range(count)]
    assert chosen(FrameChoice(shown, "peak", every=0.1), times, peak) == found


def test_a_frame_every_second_is_thinned_evenly_where_there_are_too_many():
    times = [k / 25 for k in range(25 * 30 + 1)]
    assert chosen(FrameChoice(4, every=1.0), times) == (0, 250, 500, 750)
    assert chosen(FrameChoice(64, every=10.0), times) == (0, 250, 500, 750)


def test_times_decide_not_numbers_where_frames_are_uneven():
    assert chosen(FrameChoice(8, every=1.0), [0.0, 0.1, 0.2, 0.9, 2.1, 2.2]) == (0, 3, 4)


@pytest.mark.parametrize(("choice", "times", "peak", "said"), [
    (FrameChoice(8), [None] * 5, 5, "labelled frame 5 is beyond its end: it has 5 frames"),
    (FrameChoice(8), [None], None, "it has 1 frame: no clip"),
    (FrameChoice(8), [], None, "it has 0 frames: no clip"),
    (FrameChoice(8, "peak"), [None] * 5, None, "no labelled frame"),
    (FrameChoice(8, every=1.0), [None] * 5, None, "nothing says how fast it runs"),
    (FrameChoice(8, every=9.0), [0.0, 0.1], None, "one frame alone"),
    (FrameChoice(8, "peak", 9.0), [0.0, 0.1], 1, "one frame alone"),
])  # fmt: skip
def test_a_clip_that_cannot_be_shown_as_wanted_is_refused(choice, times, peak, said):
    with pytest.raises(ClipError, match=said):
        chosen(choice, times, peak)


@pytest.mark.parametrize(("settings", "said"), [
    ({"shown": 1}, r"^source\.shown=1: less than 2"),
    ({"shown": 2.0}, "not a whole number"),
    ({"around": "apex"}, r"^source\.around=apex: no such place"),
    ({"every": 0.0}, r"^source\.every=0"),
])  # fmt: skip
def test_settings_out_of_range_are_named(settings, said):
    with pytest.raises(UserError, match=said):
        FrameChoice(**settings, argument="source.shown")
