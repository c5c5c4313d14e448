"""What ends a script in one line, and what does not."""

import pytest

from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError


def raising(error: BaseException, cause: BaseException | None = None):
    @in_one_line(KeyError)
    def main() -> None:
        raise error from cause

    return main


@pytest.mark.parametrize(
    ("error", "cause", "line"),
    [
        (UserError("images", 0, "none", "take\n some"), None, "error: images=0: none; take some\n"),
        (
            RuntimeError("a library's"),
            UserError("images", 0, "none", "take some"),
            "error: images=0: none; take some\n",
        ),
        (KeyError("a"), None, "error: 'a'\n"),
        (FileNotFoundError(2, "No such file", "nowhere"), None, "error: file=nowhere: cannot be used (No such file); "),
        (
            OSError(28, "No space left on device"),
            None,
            "error: disk: cannot be written (No space left on device); see ",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(error, cause, line, capsys):
    with pytest.raises(SystemExit) as stop:
        raising(error, cause)()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith(line) and said.count("\n") == 1


def test_a_bug_keeps_its_traceback(capsys):
    with pytest.raises(ValueError, match="a bug"):
        raising(ValueError("a bug"))()
    assert not capsys.readouterr().err


def test_what_a_script_returns_is_its_own():
    assert in_one_line()(lambda: 1)() == 1
