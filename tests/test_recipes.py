"""Recipes: what they run, with a stand-in for `python` that only says what it was asked; and what they refuse."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

ROOT = Path(__file__).resolve().parent.parent
FREE = (
    "check_peers",
    "clips",
    "demo",
    "gpu_check",
    "judge_agreement",
    "leaderboard",
    "lock",
    "rl",
    "robustness",
    "second_round",
    "settings",
    "smooth",
    "value",
    "witnesses",
)
"""Scripts that are no recipes, or have settings of their own."""
RECIPES = sorted(path.stem for path in (ROOT / "scripts").glob("*.sh") if path.stem not in FREE)
OF_ONE_RUN = (
    "appendix_d",
    "corruptions",
    "emovit_phrasing",
    "emovit_reasoning",
    "fairness",
    "figure6",
    "phrasing",
    "table1",
    "table2",
)
"""Recipes that look at finished runs, of one seed."""
# A line is written at once: commands may run side by side.
STAND_IN = """#!/usr/bin/env bash
if [[ "$1" == -c ]]; then echo 3.5; else line=$(printf '%q ' "$@"); echo "$line" >> "$ASKED"; fi
"""


@pytest.fixture
def recipe(tmp_path: Path):
    """Return `recipe(name, *settings)`: how it ended, and every command that it gave to python, word by word."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(STAND_IN)
    (tmp_path / "bin" / "python").chmod(0o755)
    (tmp_path / "prepare" / "table1").mkdir(parents=True)
    (tmp_path / "prepare" / "table1" / "statistics.md").touch()
    asked = tmp_path / "asked"

    def run(name: str, *settings: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
        asked.write_text("")
        path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
        command = ["bash", str(ROOT / "scripts" / f"{name}.sh"), *settings, f"outputs={tmp_path}"]
        environment = {**os.environ, "PATH": path, "ASKED": str(asked)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done, [shlex.split(line) for line in asked.read_text().splitlines()]

    return run


def needed(name: str, scale: str) -> list[str]:
    return ["feid=mine"] if name in ("table3", "figure6") and scale == "paper" else []


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_hands_its_scale_and_seed_to_every_stage_and_ends_with_its_report(
    recipe, name: str, scale: str
) -> None:
    done, commands = recipe(name, f"scale={scale}", "seed=7", *needed(name, scale))
    assert done.returncode == 0, done.stderr
    *stages, report = commands
    assert report[0] == "report.py" and f"name={name}" in report
    assert all("seed=7" in words for words in stages if words[0] not in ("report.py", "scripts/figure5.py"))
    of_the_other = {"demo": ("scale=paper", "scale=emovit_paper"), "paper": ("scale=demo", "scale=emovit_demo")}[scale]
    assert not [word for words in stages for word in words if word in of_the_other]


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_ONE_RUN])
def test_several_seeds_are_runs_of_their_own_and_one_report(recipe, name: str) -> None:
    done, commands = recipe(name, "seeds=2", "seed=3")
    assert done.returncode == 0, done.stderr
    assert [words[0] for words in commands].count("report.py") == 1
    assert commands[-1][0] == "report.py" and f"name={name}" in commands[-1]
    named = [word for words in commands[:-1] for word in words if word.startswith(f"name={name}")]
    assert {word.split("-")[1] for word in named} == {"s3", "s4"}


@pytest.mark.parametrize("name", OF_ONE_RUN)
def test_a_recipe_of_one_run_refuses_several_seeds(recipe, name: str) -> None:
    done, commands = recipe(name, "seeds=2")
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith("error: seeds=2: this recipe looks at one run")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_a_setting_is_handed_to_a_command_or_refused(recipe, name: str, scale: str) -> None:
    done, commands = recipe(name, f"scale={scale}", "nonsense=1", *needed(name, scale))
    if done.returncode:
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 2 and last.startswith("error: nonsense=1: no such setting of this recipe"), (
            done.stderr
        )
        assert commands == []
    else:
        assert any("nonsense=1" in words for words in commands)


def test_records_are_refused_by_the_recipe_that_makes_them(recipe) -> None:
    done, commands = recipe("table1", "records=mine")
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith("error: records=mine: no such setting")


@pytest.mark.parametrize(("shown", "given"), [("8", []), ("4", ["shown=4"]), ("null", ["shown=null"])])
def test_table_3_at_paper_scale_tunes_mafw_and_merr_fine_on_clips(recipe, shown: str, given: list[str]) -> None:
    done, commands = recipe("table3", "scale=paper", "feid=mine", *given)
    assert done.returncode == 0, done.stderr
    [swept] = [words for words in commands if "data=mafw,merr_fine" in words]
    assert f"data.reader.shown={shown}" in swept and "scale=paper" in swept
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for data in ("mafw", "merr_fine"):
            words = [word for word in swept if "=" in word and word.split("=")[0] not in ("data", "paths.outputs")]
            reader = compose("train", [*words, f"data={data}"]).data.reader
            assert reader.shown == (None if shown == "null" else int(shown))
            assert reader._target_.endswith({"mafw": "Mafw", "merr_fine": "MerrFine"}[data])


def test_table_3_at_paper_scale_asks_for_feid_before_it_trains(recipe) -> None:
    done, commands = recipe("table3", "scale=paper", "records=mine")
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith("error: feid=: ")


def test_figure_5_annotates_real_photographs_at_paper_scale(recipe) -> None:
    done, commands = recipe("figure5", "scale=paper", "seeds=2", "budget.usd=20")
    assert done.returncode == 0, done.stderr
    called = [words[0] for words in commands]
    of_a_seed = ["prepare.py", *["generate.py"] * 6, "scripts/figure5.py"]
    assert called == [*of_a_seed, *of_a_seed, "report.py"]
    assert all("scale=paper" in words for words in commands if words[0] in ("prepare.py", "generate.py"))
    assert all("budget.usd=20" in words for words in commands if words[0] == "generate.py")
    assert "experiment=figure5_blind" in commands[1] and "stopping.mean_samples=3.5" in commands[4]
    control, outputs, records, name, reference = commands[7][2:7]
    assert records == f"{outputs}/prepare/figure5-s0/train.jsonl"
    assert (control, name, reference) == ("blind", "figure5-s0", "uamc-summary")


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_figure_5s_control_runs_by_itself_and_asks_no_annotator(recipe, scale: str) -> None:
    done, commands = recipe("figure5", f"scale={scale}", "records=mine", "annotator=none", "backend.model=dear")
    assert done.returncode == 0, done.stderr
    assert [words[0] for words in commands] == ["generate.py", "scripts/figure5.py", "report.py"]
    assert "experiment=figure5_blind" in commands[0] and "backend.model=dear" not in commands[0]
    assert commands[1][-1].startswith("blind=Not looking")
    done, commands = recipe("figure5", "annotator=somebody")
    assert (done.returncode, commands) == (2, []) and done.stderr.startswith(
        "error: annotator=somebody: no such choice"
    )


@pytest.mark.parametrize("name", ["table4", "stopping", "sweep_n", "normalise"])
def test_labels_of_nobody_are_made_of_the_same_records_and_judged_as_the_annotators_are(recipe, name: str) -> None:
    settings = ("limit=40", "generator.hide=[au]", "generator.max_samples=4", "backend=simulated", "stopping=fixed")
    done, commands = recipe(name, "seed=3", *settings)
    assert done.returncode == 0, done.stderr
    [blind] = [words for words in commands if "generator=blind" in words]
    assert f"name={name}-blind" in blind and {"seed=3", "limit=40", "generator.hide=[au]"} <= set(blind)
    assert not {"generator.max_samples=4", "backend=simulated", "stopping=fixed"} & set(blind)
    judged = [words for words in commands if f"predictions={name}-blind" in words]
    assert [f"name={name}-labels-blind" in words for words in judged] == [True]
    _, on_paper = recipe(name, "scale=paper")
    assert not [words for words in on_paper if "benchmark=reliability" in words]


@pytest.mark.parametrize("name", ["table4", "stopping", "sweep_n", "normalise"])
def test_the_control_of_a_study_is_one_of_its_rows_and_made_by_its_recipe(recipe, name: str) -> None:
    _, commands = recipe(name)
    made = {word.removeprefix(f"name={name}-") for words in commands for word in words if word.startswith("name=")}
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = compose("report", [f"experiment={name}"]).study.parts
    assert [part.control for part in parts] == ["blind"] * len(parts)
    assert all(part.control in part.rows and part.control in made for part in parts)


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_table_2_has_the_row_that_never_looks_on_the_same_records(recipe, scale: str) -> None:
    done, commands = recipe("table2", f"scale={scale}", "records=mine")
    assert done.returncode == 0, done.stderr
    [constant] = [words for words in commands if "system=constant" in words]
    assert {"records=mine", "name=table2-constant"} <= set(constant)


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_specialists_of_figure_4_are_trained_for_as_many_epochs_as_the_model_of_all(recipe, scale: str) -> None:
    _, commands = recipe("figure4", f"scale={scale}")
    of = [(words["name"], words.get("data.keep"), trainer.max_epochs) for words, trainer in trained(commands)]
    assert of == [("figure4", None, 1), ("figure4-all_long", None, 3), ("figure4", "expression,va,au", 3)]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        tested = compose("evaluate", ["experiment=figure4"], return_hydra_config=True).hydra.sweeper.params.cell
        [part] = compose("report", ["experiment=figure4"]).study.parts
    rows = {key: set(row.tasks.values()) if "tasks" in row else {key} for key, row in part.rows.items()}
    assert set().union(*rows.values()) == set(tested.split(","))


def test_reinforcement_and_its_controls_go_on_from_one_model_for_as_many_steps_faces_and_answers(recipe) -> None:
    done, commands = recipe("rl", "steps=5", "prompts=6", "group=3", "algorithm.kl=0.01", "seeds=2")
    assert done.returncode == 0, done.stderr
    for run in ("rl-s0", "rl-s1"):
        own = [words for words in commands if any(word.startswith(f"name={run}-") for word in words)]
        first, *rest = trained(own)
        assert first[0]["name"] == f"{run}-sft" and first[0]["data.path"] == f"{run}-labels"
        assert {words["name"] for words, _ in rest} == {
            f"{run}-{k}" for k in ("grpo", "shuffled", "human", "human5", "best")
        }
        assert all(trainer.max_steps == 5 and f"{run}-sft" in words["model.path"] for words, trainer in rest)
        reinforced = [words for words, _ in rest if "algorithm.kl" in words]
        assert len(reinforced) == 2
        assert all((words["algorithm.prompts"], words["algorithm.group_size"]) == ("6", "3") for words in reinforced)
        imitated = [words for words, _ in rest if "algorithm.kl" not in words]
        assert len(imitated) == 3 and all(words["trainer.batch_size"] == "6" for words in imitated)
        asked = [words for words in own if words[0] == "evaluate.py"]
        assert len([words for words in asked if f"compare={run}-before" in words]) == 5
        beside = {word for words in asked if f"predictions={run}-grpo" in words for word in words}
        assert {f"compare={run}-{control}" for control in ("human", "human5", "best", "shuffled")} <= beside
    best = [words for words in commands if words[:2] == ["scripts/rl_controls.py", "best"]]
    human = [words for words in commands if words[:2] == ["scripts/rl_controls.py", "human"]]
    assert all({"faces=30", "n=3"} <= set(words) for words in best) and len(best) == 2, "6 a step"
    assert all("limit=30" in words for words in human) and len(human) == 2
    assert ["scripts/rl_controls.py", "table"] in [words[:2] for words in commands]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("steps=none", "steps=none: not a number; use 1 or more"),
        ("labels=mine", "labels=mine: no such choice; use single, seke or calibrated"),
        ("algorithm.prompts=3", "algorithm.prompts=3: the controls have as many; use prompts= and group="),
        ("nonsense=1", "nonsense=1: no such setting of this recipe at scale=demo; use name=, "),
    ],
)
def test_settings_that_reinforcement_has_not_are_one_line(recipe, setting: str, said: str) -> None:
    wrong, commands = recipe("rl", setting)
    assert wrong.returncode == 2 and not commands
    assert wrong.stderr.startswith(f"error: {said}") and wrong.stderr.count("\n") == 1


def trained(commands: list[list[str]]) -> list[tuple[dict[str, str], Any]]:
    """Return each training of a recipe, of a sweep the first: its words, and the trainer that Hydra makes of them."""
    found = []
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for words in (words for words in commands if words[0] == "train.py"):
            given = [word for word in words[1:] if word != "-m"]
            cfg = compose("train", [word.split(",")[0] for word in given])
            found.append((dict(word.split("=", 1) for word in given), cfg.trainer))
    return found


def test_a_source_left_out_of_a_second_round_teaches_no_student_and_no_model_and_is_judged_apart(recipe) -> None:
    done, commands = recipe("second_round", "left_out=raf_db", "seeds=2", "epochs=2", "backend.seed=5")
    assert done.returncode == 0, done.stderr
    tuned = [words for words in commands if words[0] == "train.py"]
    assert len(tuned) == 2 * (2 + 3), "two students, and models of round 0, of nobody's labels and of round 1"
    assert all("+data.reader.without=[raf_db]" in words for words in tuned)
    scored = {word for words in commands if words[0] == "evaluate.py" for word in words if word.startswith("name=")}
    assert {"name=second-s1-round1", "name=second-s1-left_out-round1", "name=second-s0-left_out-blind"} <= scored
    compared = [words for words in commands if "name=second-s1-left_out-round1" in words]
    assert "compare=second-s1-left_out-round0" in compared[0]
    asked = [words for words in commands if words[0] == "generate.py" and "generator=blind" not in words]
    assert len(asked) == 2 * 3 and all("backend.seed=5" in words for words in asked)


@pytest.mark.parametrize("name", ["second_round", "value", "witnesses"])
def test_a_recipe_of_drawn_faces_has_one_scale(recipe, name: str) -> None:
    done, commands = recipe(name, "scale=paper")
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith("error: scale=paper: this recipe has one scale")


@pytest.mark.parametrize("name", ["value", "witnesses"])
@pytest.mark.parametrize("setting", ["records=mine", "nonsense=1", "seeds=2"])
def test_what_a_recipe_of_drawn_faces_does_not_take_is_refused(recipe, name: str, setting: str) -> None:
    done, commands = recipe(name, setting)
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith(f"error: {setting}: ")


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_the_stages_of_emovit_are_tuned_for_as_many_steps(recipe, scale: str) -> None:
    done, commands = recipe("emovit_stages", f"scale={scale}", "steps=1000")
    assert done.returncode == 0, done.stderr
    of = {words["cell"]: trainer for words, trainer in trained(commands)}
    assert all(trainer.max_epochs >= trainer.max_steps for trainer in of.values())  # never ended by the epochs
    alone = {cell: of.pop(cell).max_steps for cell in ("categorical", "conversation", "reasoning")}
    assert set(alone.values()) == {1000}
    assert [trainer.max_steps for trainer in of.values()] == [333, 333, 334]  # the curriculum


def test_the_curriculum_goes_on_from_its_last_stage(recipe, tmp_path: Path) -> None:
    _, commands = recipe("emovit_stages", "seed=3", "name=mine")
    stages = [words for words, _ in trained(commands) if "model.path" in words]
    assert [words["stage"] for words in stages] == ["categorical", "conversation", "reasoning"]
    bases = ["assets/instructblip_tiny", *(f"{tmp_path}/train/mine-{words['cell']}/model" for words in stages[:-1])]
    assert [words["model.path"] for words in stages] == bases


@pytest.mark.parametrize(("scale", "epochs"), [("demo", 3), ("paper", 4)])
def test_every_share_is_tuned_for_as_many_steps_and_then_for_as_many_epochs(recipe, scale: str, epochs: int) -> None:
    done, commands = recipe("emovit_efficiency", f"scale={scale}", "steps=1000")
    assert done.returncode == 0, done.stderr
    (_, steps), (words, by_epochs) = trained(commands)
    assert (steps.max_steps, steps.max_epochs) == (1000, 1000)
    assert (by_epochs.max_steps, by_epochs.max_epochs) == (-1, epochs)
    assert words["data.share"] == "0.1,0.25,0.5"


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_both_sizes_of_the_language_model_are_tuned_alike(recipe, scale: str) -> None:
    done, commands = recipe("emovit_size", f"scale={scale}", "steps=1000")
    assert done.returncode == 0, done.stderr
    of = {words["cell"]: (words["model.path"], trainer) for words, trainer in trained(commands)}
    assert {trainer.max_steps for _, trainer in of.values()} == {1000}
    asked = [dict(word.split("=", 1) for word in words[2:]) for words in commands if words[0] == "evaluate.py"]
    bases = {words["cell"]: words["model.path"] for words in asked if "cell" in words}
    assert bases == {f"base-{size}": path for size, (path, _) in of.items()}
    assert len(set(bases.values())) == 2
    if scale == "demo":
        assert all((ROOT / path / "config.json").is_file() for path in bases.values())


def test_each_domain_is_tuned_and_probed_on_its_own_instructions(recipe) -> None:
    done, commands = recipe("emovit_domain", "steps=1000", "name=mine")
    assert done.returncode == 0, done.stderr
    probes = [words for words in commands if words[0] == "scripts/linear_probe.py"]
    asked = {words[words.index("--attribute") + 1] for words in probes}
    assert asked == {"scene_type", "human_action", "emotion"}
    assert all(f"cell={words[words.index('--attribute') + 1]}" in words for words in probes)
    written = {Path(words[2]).stem for words in probes}
    assert written == {f"mine-{pool}-{domain}" for pool in ("mean", "patches") for domain in asked}


def test_annotators_of_other_quality_differ_in_one_number_and_are_tuned_alike(recipe) -> None:
    done, commands = recipe("emovit_quality", "steps=1000", "name=mine")
    assert done.returncode == 0, done.stderr
    made = [dict(word.split("=", 1) for word in words[2:]) for words in commands if words[0] == "generate.py"]
    errors = {
        words["cell"]: tuple(float(words[f"backend.{name}"]) for name in ("misses", "mistakes", "wrong_emotions"))
        for words in made
    }
    assert errors == {
        **dict.fromkeys(("clean", "wordings-1", "wordings-6"), (0, 0, 0)), "misses-0.3": (0.3, 0, 0),
        "mistakes-0.3": (0, 0.3, 0), "classes-0.3": (0, 0, 0.3),
    }  # fmt: skip
    assert {words["cell"]: words["wordings"] for words in made if words["wordings"] != "three"} == {
        "wordings-1": "one", "wordings-6": "six",
    }  # fmt: skip
    ((words, trainer),) = trained(commands)
    assert set(words["cell"].split(",")) == set(errors) and trainer.max_steps == 1000


def test_no_errors_are_asked_of_a_real_annotator(recipe) -> None:
    done, commands = recipe("emovit_quality", "scale=paper")
    assert done.returncode == 0, done.stderr
    assert not [word for words in commands for word in words if word.startswith("backend.")]


def test_clips_and_their_controls_are_tuned_alike_and_shown_what_they_were_tuned_on(recipe) -> None:
    done, commands = recipe("clips", "name=mine", "seeds=2", "epochs=5", "clips=480", "faces=240")
    assert done.returncode == 0, done.stderr
    assert commands[-1] == ["report.py", "name=mine", "experiment=clips", commands[-1][-1]]
    assert [words[0] for words in commands].count("report.py") == 1
    first = [words for words in commands if any(word.startswith("name=mine-s0") for word in words)]
    trained = [words for words in first if words[0] == "train.py"]
    swept, one, pictures, mixed = trained
    assert all("trainer.max_epochs=5" in words for words in (swept, one))
    assert not [word for words in (pictures, mixed) for word in words if word.startswith("trainer.max_")]
    assert "-m" in swept and not [word for word in swept if word.startswith("data.")]
    assert "data.reader.shown=1" in one and "cell=one" in one and "data.path=mine-s0-faces" in pictures
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = compose("train", mixed[1:]).data.mixture
    assert parts.faces.path == "mine-s0-faces" and parts.clips.weight == 5
    assert parts.clips.path.endswith("/clips/mine-s0/ordered/rows.jsonl")
    of_clips = [words for words in first if words[0] == "evaluate.py" and "experiment=clips" in words]
    asked = {word: words for words in of_clips for word in words if word.startswith("cell=")}
    assert "shown=1" in asked["cell=one"] and "seen=blind" in asked["cell=blind"]
    assert "seen=shuffled" in asked["cell=shuffled"] and not [w for w in asked["cell=ordered"] if w.startswith("seen")]
    assert "model.path=mine-s0-ordered" in asked["cell=ordered-of-shuffled"]
    drawn = [words for words in first if words[0] == "prepare.py"]
    assert ["source.images=480" in words or "source.images=240" in words for words in drawn] == [True, True]


def test_no_dataset_says_how_a_face_moves(recipe) -> None:
    done, commands = recipe("clips", "scale=paper")
    assert (done.returncode, commands) == (2, [])
    assert done.stderr.startswith("error: scale=paper: no dataset says how a face moves")
