"""scripts/demo.sh, with the stand-in for `python` of the recipes' tests: what runs side by side, and after what."""

import pytest

from .test_recipes import recipe  # noqa: F401  the fixture

CELLS = {
    "some": {"blind", "single", "seke", "calibrated"},
    "all": {"blind", "single", "prior", "seke", "calibrated", "truth"},
}


def named(words: list[str]) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in words[1:])


@pytest.mark.parametrize("cells", ["some", "all"])
def test_every_stage_follows_what_it_reads(recipe, cells: str) -> None:  # noqa: F811
    done, commands = recipe("demo", "name=mine", f"cells={cells}")
    assert done.returncode == 0, done.stderr
    made = {"mine"}
    for script, settings in ((words[0], named(words)) for words in commands):
        needed = {"train.py": ["data.path"], "evaluate.py": ["predictions", "model.path", "compare"]}.get(script, [])
        read = [settings[key] for key in needed if key in settings]
        assert all(name in made for name in read if "/" not in name), (script, settings)
        made.add(settings.get("name", ""))
    tuned = {named(words)["name"] for words in commands if words[0] == "train.py"}
    assert tuned == {f"mine-{cell}" for cell in CELLS[cells]}
    assert [words[0] for words in commands].count("scripts/linear_probe.py") == (cells == "all")
    assert commands[-1][0] == "report.py"


@pytest.mark.parametrize("failing", ["generate.py", "train.py", "evaluate.py"])
def test_a_stage_that_fails_ends_the_demo(recipe, tmp_path, failing: str) -> None:  # noqa: F811
    python = tmp_path / "bin" / "python"
    python.write_text(python.read_text() + f'\nif [[ "$1" == {failing} ]]; then echo "error: no" >&2; exit 2; fi\n')
    done, commands = recipe("demo")
    assert done.returncode != 0 and "error: no" in done.stdout
    assert "report.py" not in [words[0] for words in commands] and "done in" not in done.stdout


@pytest.mark.parametrize("setting", ["cells=none", "models=all", "seeds=2", "scale=paper", "records=mine"])
def test_settings_that_the_demo_has_not_are_one_line(recipe, setting: str) -> None:  # noqa: F811
    done, commands = recipe("demo", setting)
    assert done.returncode == 2 and not commands
    assert done.stderr.startswith("error: ") and setting.partition("=")[0] in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_runs_side_by_side_says_which_it_is(recipe) -> None:  # noqa: F811
    done, _ = recipe("demo")
    assert any(line.startswith("[seke] ") and "train.py" in line for line in done.stdout.splitlines())
