"""EmoVIT's recipes: what they ask is what they say that they ask."""

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from . import composition

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"


def filled(question: str, classes: str) -> str:
    """Return a question as it is asked; a template about emotions may call the slot so."""
    return question.replace("{classes}", classes).replace("{emotions}", classes)


def composed(command: str, *overrides: str) -> Any:
    cfg = composition.composed(command, *overrides)
    OmegaConf.resolve(cfg)
    return cfg


def taught() -> list[str]:
    """Return the questions of categorical instructions."""
    cfg = composed("generate", "generator=emovit")
    *most, last = cfg.generator.classes
    listed = f"{', '.join(most)} and {last}"
    return [filled(question, listed) for question in cfg.prompts.templates.categorical]


@pytest.mark.parametrize("experiment", ["emovit", "emovit_stages", "emovit_size", "emovit_cross"])
def test_the_taught_question_is_one_of_the_instructions(experiment: str) -> None:
    benchmark = composed("evaluate", f"experiment={experiment}").benchmark
    assert benchmark.answering == "taught"
    assert benchmark.questions.taught in taught()


def test_the_wordings_are_emovits_own_the_taught_ones_and_others() -> None:
    asked = [
        composed("evaluate", "experiment=emovit_phrasing", f"wording=q{number}").benchmark.questions.constrained
        for number in range(8)
    ]
    assert asked[0] == composed("evaluate", "benchmark=emoset").benchmark.questions.constrained
    assert asked[1:4] == taught()
    assert len(set(asked)) == 8
    assert all("amusement, anger, awe, contentment, disgust, excitement, fear and sadness" in text for text in asked)


def test_faces_are_asked_emovits_own_question() -> None:
    ours = composed("evaluate", "benchmark=feab_mikels").benchmark.question
    assert ours == composed("evaluate", "benchmark=emoset").benchmark.questions.constrained


@pytest.mark.parametrize(("stage", "kinds"), [("categorical", 1), ("conversation", 2), ("reasoning", 3)])
def test_each_stage_adds_a_kind_of_instruction(stage: str, kinds: int) -> None:
    reader = composed("train", "experiment=emovit_stages", f"stage={stage}").data.reader
    assert list(reader.kinds) == ["categorical", "conversation", "reasoning"][:kinds]


@pytest.mark.parametrize(
    ("scale", "targets"),
    [
        ("emovit_demo", ["synthetic.scenes.SyntheticScenes", "simulated.scenes.SimulatedScenes"]),
        ("emovit_paper", ["emoset.EmoSet", "openai.client.OpenAI"]),
    ],
)
def test_a_scale_brings_its_scenes_and_its_annotator(scale: str, targets: list[str]) -> None:
    source = composed("prepare", "experiment=emovit", f"scale={scale}").source
    backend = composed("generate", "experiment=emovit", f"scale={scale}").backend
    found = [node["_target_"] for node in (source, backend)]
    assert all(name.endswith(target) for name, target in zip(found, targets, strict=True))


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize(
    ("command", "groups"),
    [
        ("prepare", ["source"]),
        ("generate", ["backend", "captioner"]),
        ("train", ["model", "trainer"]),
        ("evaluate", ["model", "backend"]),
    ],
)
def test_a_scale_is_of_scenes_in_an_experiment_of_emovit(command: str, groups: list[str], scale: str) -> None:
    of_scenes = composed(command, "experiment=emovit", f"scale={scale}")
    assert of_scenes == composed(command, "experiment=emovit", f"scale=emovit_{scale}")
    alone, faces = composed(command, f"scale=emovit_{scale}"), composed(command, f"scale={scale}")
    assert [of_scenes[group]["_target_"] for group in groups] == [alone[group]["_target_"] for group in groups]
    assert any(of_scenes[group] != faces[group] for group in groups)


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (ROOT / "scripts").glob("emovit*.sh")))
def test_a_recipe_ends_with_its_report(recipe: str) -> None:
    *_, last = (ROOT / "scripts" / f"{recipe}.sh").read_text(encoding="utf-8").strip().splitlines()
    assert last.startswith('step report name="$name"')
    for experiment in re.findall(r'experiment="?(\w+)', last):
        assert (CONF / "report" / "experiment" / f"{experiment}.yaml").is_file()


@pytest.mark.parametrize(("experiment", "swept"), [("emovit_stages", "cell"), ("emovit_phrasing", "wording")])
def test_a_report_has_a_row_for_each_cell_of_the_sweep(experiment: str, swept: str) -> None:
    evaluated = OmegaConf.load(CONF / "evaluate" / "experiment" / f"{experiment}.yaml")
    cells = evaluated.hydra.sweeper.params[swept].split(",")
    [part] = composed("report", f"experiment={experiment}").study.parts
    assert [key for key in part.rows if key != "base"] == cells


def test_every_cell_of_the_efficiency_has_a_row_and_a_point_of_the_curve() -> None:
    evaluated = OmegaConf.load(CONF / "evaluate" / "experiment" / "emovit_efficiency.yaml")
    [part] = composed("report", "experiment=emovit_efficiency").study.parts
    probes = [f"{pool}-{share}" for pool in ("mean", "patches") for share in ("0.1", "0.25", "0.5", "1")]
    assert list(part.rows) == [*evaluated.hydra.sweeper.params.cell.split(","), *probes]
    points = {key: at for places in part.figures[0].groups.values() for key, at in places.items()}
    assert points == {key: 100 * float(key.split("-")[1]) for key in part.rows}


def test_every_report_shows_the_papers_figure_chance_and_the_commonest_emotion() -> None:
    for experiment in (
        "emovit",
        "emovit_stages",
        "emovit_efficiency",
        "emovit_size",
        "emovit_phrasing",
        "emovit_cross",
    ):
        part = composed("report", f"experiment={experiment}").study.parts[0]
        assert part.paper.file == "emovit.csv"
        assert {"emotion.accuracy", "emotion.chance", "emotion.commonest"} <= set(part.measures)


def test_a_domain_is_asked_as_its_instructions_ask_and_named_as_they_name_it() -> None:
    swept = {}
    for command in ("generate", "evaluate"):
        experiment = OmegaConf.load(CONF / command / "experiment" / "emovit_domain.yaml")
        swept[command] = experiment.hydra.sweeper.params.domain.split(",")
        assert swept[command] == list(experiment.domains)
    assert swept["generate"] == swept["evaluate"]
    for domain in swept["generate"]:
        made = composed("generate", "experiment=emovit_domain", f"domain={domain}")
        asked = composed("evaluate", "experiment=emovit_domain", f"domain={domain}").benchmark
        *most, last = made.generator.classes
        question = filled(made.prompts.templates.categorical[0], f"{', '.join(most)} and {last}")
        assert asked.question == question and list(asked.classes) == list(made.generator.classes)
        assert asked.attribute == made.generator.attribute == domain
        assert domain not in made.generator.tell
        for name, begins in made.generator.classes.items():
            assert all(word.startswith(tuple(begins)) for word in asked.classes[name])


def test_the_domains_report_has_a_row_for_every_run_of_the_recipe() -> None:
    [part] = composed("report", "experiment=emovit_domain").study.parts
    domains = ("scene_type", "human_action", "emotion")
    assert list(part.rows) == [f"{kind}{domain}" for domain in domains for kind in ("base-", "", "mean-", "patches-")]


def test_both_sizes_of_the_language_model_have_their_rows() -> None:
    [part] = composed("report", "experiment=emovit_size").study.parts
    assert list(part.rows) == ["base-small", "base-large", "small", "large"]


@pytest.mark.parametrize(("wordings", "number"), [("one", 1), ("three", 3), ("six", 6)])
def test_the_more_wordings_hold_the_fewer_and_none_is_the_one_that_is_never_met(wordings: str, number: int) -> None:
    cfg = composed("generate", "experiment=emovit_quality", f"wordings={wordings}")
    asked = list(cfg.prompts.templates.categorical)
    listed = taught()[0].partition(": ")[2].partition("?")[0]
    benchmark = composed("evaluate", "experiment=emovit_quality").benchmark
    assert len(set(asked)) == number and asked[:3] == [*cfg.asked.three][:number]
    assert [filled(text, listed) for text in cfg.asked.three] == taught()
    assert filled(asked[0], listed) == benchmark.questions.taught
    assert benchmark.questions.constrained not in [filled(text, listed) for text in asked]


def test_the_qualitys_report_has_a_row_for_every_run_of_the_recipe() -> None:
    quality, diversity = composed("report", "experiment=emovit_quality").study.parts
    wordings = ["wordings-1", "clean", "wordings-6"]
    assert list(diversity.rows) == [*wordings, *(f"{cell}-unmet" for cell in wordings)]
    assert list(quality.rows) == ["clean", "misses-0.3", "mistakes-0.3", "classes-0.3"]
