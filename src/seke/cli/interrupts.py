"""Signal handling: Ctrl-C, SIGTERM and a closed terminal (SIGHUP) end a command alike, in order and only once.

What is in flight is waited for and written down (`backends`), then the command ends with 128 and the signal's number;
a second signal does not wait. Training takes SIGTERM and SIGHUP as a wish to save and pause instead (`fault_guard`).
"""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Final

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return how a command ends that was stopped: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

    >>> exit_code(Interrupted(signal.SIGTERM)), exit_code(KeyboardInterrupt())
    (143, 130)
    """
    return 128 + int(stop.number if isinstance(stop, Interrupted) else signal.SIGINT)


def handled_signals() -> list[int]:
    """Return the signals that end a command.

    SIGINT is heeded even where it was ignored at the start, as shells have it for `command &` in a script: whoever
    sends it to a command means it. An ignored SIGHUP stays ignored, for that is what nohup is for.
    """
    return [number for number in SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


def listen() -> None:
    """Raise `Interrupted` at each of these signals from now on; another thread than the main one changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        return
    process = os.getpid()
    on_terminal = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream.isatty()]

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a child that was forked: its parent decides, and may end it by a signal
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number == getattr(signal, "SIGHUP", None):
            _leave(on_terminal)
        raise Interrupted(number)

    for number in handled_signals():
        signal.signal(number, end)


def _leave(terminals: list[int]) -> None:
    """Discard all output from now on: writing to a terminal that is gone fails, in the midst of saving."""
    if terminals:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in terminals:
            os.dup2(nowhere, descriptor)
