"""`--help`: what a command does, the settings that matter with the comments of conf/, and where the rest is."""

from pathlib import Path

import pytest

from seke.cli import help as manual

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
COMMANDS = sorted(path.stem for path in CONF.glob("*.yaml") if (ROOT / f"{path.stem}.py").is_file())


def settings(command: str, *words: str) -> dict[str, str]:
    """Return the settings that the help shows, each with the line that it stands in."""
    lines = [line.strip() for line in manual.text(command, "", words, CONF).splitlines() if line.startswith("  ")]
    return {line.partition("=")[0]: line for line in lines if "=" in line.split(" ")[0]}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_its_first_ten_settings_and_each_is_there(command: str) -> None:
    told = manual.text(command, "What it does.", ["--help"], CONF)
    assert told.startswith("What it does.\n\nSettings that matter most:\n") and len(told.splitlines()) < 70
    assert f"python {command}.py --help=all" in told
    assert 5 <= len(settings(command)) <= 11
    assert all("  " in line or len(line) > 28 for line in settings(command).values()), "a setting without a comment"


def test_the_folder_of_ones_own_pictures_is_among_the_settings_of_prepare() -> None:
    assert settings("prepare")["source.root"].endswith("of source=folder: the folder with your pictures")
    assert "of source=folder" not in settings("prepare", "source=folder")["source.root"]


def test_an_options_own_settings_come_with_those_it_builds_on() -> None:
    shown = settings("train", "trainer=deepspeed_zero2", "--help")
    assert shown["trainer.devices"].startswith("trainer.devices=auto  ")  # its own value, the comment of trainer=cpu
    assert shown["trainer.devices"].endswith("ranks of a machine")
    assert "trainer.clip" in shown


def test_a_comment_goes_on_below_and_stands_above_where_there_is_none_beside(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        "# About the file.\n\nfirst: 1\n# About the second,\n# in two lines.\n"
        "second: { a: 1, # the first\n  b: 2 } # the last\n"
        "third: text # begins\n  # and goes on\ngroup:\n  inner: null # within\n"
    )
    assert manual._settings(path) == {
        "first": ("1", ""),
        "second": ("{ a: 1, b: 2 }", "the first the last"),
        "third": ("text", "begins and goes on"),
        "group.inner": ("null", "within"),
    }
