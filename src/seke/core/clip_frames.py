"""Which frames of a clip are shown: a pure rule on the times of its frames.

    around=whole, every=None   k frames evenly from the first to the last, as LLaVA-NeXT samples a video
                               (`np.linspace(0, n - 1, k, dtype=int)` in its training data)
    around=whole, every=s      a frame every s seconds from the beginning; of more than k of them k evenly
    around=peak, every=s       k frames s seconds apart with the peak among them; every=None: next to each other

Times are in seconds from the beginning of the clip and ascend; frames are counted from 0.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seke.core.errors import UserError
from seke.core.setting_checks import check_between, check_whole

Around = Literal["whole", "peak"]


class ClipError(ValueError):
    """A clip that cannot be shown as it is wanted: rejected by name and counted, never shown as less."""


@dataclass(frozen=True)
class FrameChoice:
    """How many frames of a clip are shown, and which.

    Args:
        shown: frames of a clip, 2 to 256; a clip that has fewer shows all of them.
        around: the whole clip, or its peak (the labelled frame).
        every: seconds between the frames; None: as the module's table says.
        argument: the setting's name, for messages.

    Raises:
        UserError: if one of them is out of range.
    """

    shown: int = 8
    around: Around = "whole"
    every: float | None = None
    argument: str = "shown"

    def __post_init__(self) -> None:
        check_whole(self.argument, self.shown, 2, 256)
        room = self.argument.rpartition(".")[0]
        prefix = f"{room}." if room else ""
        if self.around not in ("whole", "peak"):
            raise UserError(f"{prefix}around", self.around, "no such place in a clip", "use whole or peak")
        check_between(f"{prefix}every", self.every, 0.001, 3600, optional=True)


def chosen(choice: FrameChoice, times: Sequence[float | None], peak: int | None = None) -> tuple[int, ...]:
    """Return the numbers of the frames that are shown, ascending, each once.

    Args:
        choice: the rule.
        times: of all frames of the clip, in seconds; None where nothing says how fast it runs.
        peak: number of the labelled frame.

    Raises:
        ClipError: if the clip has fewer than two frames, or its labelled frame is not among them, or the rule needs
            a peak or times that are not there.

    >>> chosen(FrameChoice(4), [k / 25 for k in range(100)])
    (0, 33, 66, 99)
    >>> chosen(FrameChoice(3, "peak"), [None] * 10, peak=9)
    (7, 8, 9)
    >>> chosen(FrameChoice(8, every=1.0), [k / 25 for k in range(100)])
    (0, 25, 50, 75)
    """
    count = len(times)
    if peak is not None and not 0 <= peak < count:
        raise ClipError(f"its labelled frame {peak} is beyond its end: it has {count} frames")
    if count < 2:
        raise ClipError(f"it has {count} frame{'s' * (count != 1)}: no clip")
    if choice.around == "peak" and peak is None:
        raise ClipError("it has no labelled frame to be shown around")
    known = [time for time in times if time is not None]
    if choice.every is not None and len(known) < count:
        raise ClipError("nothing says how fast it runs, so no frame has a time")
    if peak is not None and choice.around == "peak":
        return _next_to(peak, count, choice.shown) if choice.every is None else _around(peak, known, choice)
    if choice.every is None:
        return _even(range(count), choice.shown)
    moments = [k * choice.every for k in range(int(known[-1] / choice.every) + 1)]
    found = _even(sorted({_nearest(known, moment) for moment in moments}), choice.shown)
    if len(found) < 2:
        raise ClipError(f"it lasts {known[-1]:.2f} s: a frame every {choice.every:g} s is one frame alone")
    return found


def pace(times: Sequence[float] | None) -> int:
    """Return how many milliseconds lie between shown frames, on average; 0: unknown.

    >>> pace([0.0, 0.5, 1.1]), pace(None)
    (550, 0)
    """
    return 0 if times is None or len(times) < 2 else round(1000 * (times[-1] - times[0]) / (len(times) - 1))


def _even(numbers: Sequence[int], most: int) -> tuple[int, ...]:
    """Return no more than so many of the numbers, the first and the last among them."""
    if len(numbers) <= most:
        return tuple(numbers)
    return tuple(numbers[place * (len(numbers) - 1) // (most - 1)] for place in range(most))


def _next_to(peak: int, count: int, most: int) -> tuple[int, ...]:
    """Return frames next to each other with the peak in their middle, or as near to it as the clip's ends allow."""
    most = min(most, count)
    first = min(max(peak - most // 2, 0), count - most)
    return tuple(range(first, first + most))


def _around(peak: int, times: Sequence[float], choice: FrameChoice) -> tuple[int, ...]:
    """Return the peak and frames at even distances in time to both sides of it.

    What one side has no room for is shown on the other.
    """
    assert choice.every is not None
    before = int((times[peak] - times[0]) / choice.every + 1e-6)
    after = int((times[-1] - times[peak]) / choice.every + 1e-6)
    most = min(choice.shown, before + after + 1)
    first = -min(max(most // 2, most - 1 - after), before)
    moments = [times[peak] + step * choice.every for step in range(first, first + most)]
    found = tuple(sorted({_nearest(times, moment) for moment in moments}))
    if len(found) < 2:
        raise ClipError(f"it lasts {times[-1] - times[0]:.2f} s: a frame every {choice.every:g} s is one frame alone")
    return found


def _nearest(times: Sequence[float], moment: float) -> int:
    """Return the frame whose time is nearest; of two, the earlier."""
    place = bisect_left(times, moment)
    around = [k for k in (place - 1, place) if 0 <= k < len(times)]
    return min(around, key=lambda k: (abs(times[k] - moment), k))
