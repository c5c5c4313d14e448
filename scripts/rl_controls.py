"""Controls of reinforcement: instruction data from the same human labels, without any reinforcement.

    python scripts/rl_controls.py human RECORDS OUT [limit=] [model=<run>]
        the human labels as answers; with model= its own greedy answers, in which human labels replace what it said
    python scripts/rl_controls.py best RECORDS OUT model=<run> [faces=1080] [n=8]
        the best of n sampled answers (rejection fine-tuning), by the rewards of conf/algorithm/grpo.yaml; faces whose
        answers earn all alike are left out
    python scripts/rl_controls.py hard RECORDS OUT model=<run> [faces=1080] [n=8] [share=0.5]
        a curriculum, no control: records of that share of the faces on whose answers the rewards differ most, as a set
        for algorithm=grpo (data.path=OUT)
    python scripts/rl_controls.py units RECORDS model=<run> [faces=120] [n=8]
        no control: action units hit, missed, falsely named and named twice, greedily and in samples, of faces with them
    python scripts/rl_controls.py table OUTPUTS NAME [seed=0] [seeds=1]
        what scripts/rl.sh of that name has measured: each stage against the fine-tuned model, and reinforcement against
        each control; of several seeds the means, with what both seeds and subjects make them vary by

RECORDS is a prepared set's train.jsonl; OUT a file of LLaVA conversations for train.py. With outputs= and seed=.
"""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from seke.answers.extract import extract
from seke.core.intervals import Difference, Estimate, over_seeds
from seke.core.rules import MEASURES, Measure
from seke.core.runs import image_root
from seke.training.grpo.demonstrations import demonstration
from seke.training.grpo.records import Face, Records
from seke.training.grpo.rewards import repeats

SETTINGS = {
    "outputs": "outputs", "seed": "0", "seeds": "1", "model": "", "faces": "1080", "n": "8", "limit": "",
    "share": "0.5",
}  # fmt: skip
CONTROLS = ("human", "human5", "best", "shuffled")
REINFORCED = "grpo"


def main(words: Sequence[str]) -> None:
    """Write one control's instructions, or print the table."""
    settings = dict(SETTINGS)
    places = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in settings:
            settings[key] = value
        else:
            places.append(word)
    if len(places) < 2 + (places[0] != "units") or places[0] not in ("human", "best", "hard", "units", "table"):
        raise SystemExit(__doc__)
    if places[0] == "table":
        first, count = int(settings["seed"]), int(settings["seeds"])
        print(table(Path(places[1]), [f"{places[2]}-s{first + k}" for k in range(count)] if count > 1 else [places[2]]))
        return
    records, out, seed = Path(places[1]), Path(places[-1]), int(settings["seed"])
    data = Records(str(records), question(), limit=int(settings["limit"]) if settings["limit"] else None)
    faces, root = data.train(Path(settings["outputs"]), seed).faces, image_root(records).resolve()
    if places[0] == "units":
        print(units([face for face in faces if face.labels.action_units], data.question, settings))
        return
    rows: list[Any]
    if places[0] == "human":
        own = greedy(faces, data.question, settings) if settings["model"] else [""] * len(faces)
        rows = [
            row(face, data.question, demonstration(text, face.labels), root)
            for face, text in zip(faces, own, strict=True)
        ]
    elif places[0] == "best":
        groups = sampled(faces, data.question, settings)
        rows = [
            row(face, data.question, max(answers)[1], root)
            for face, answers in groups
            if len({reward for reward, _ in answers}) > 1
        ]
        print(f"{len(rows)} of {settings['faces']} faces have a best answer")
    else:
        earned = {
            face.id: [reward for reward, _ in answers] for face, answers in sampled(faces, data.question, settings)
        }
        chosen = hardest(earned, float(settings["share"]))
        rows = [record for line in records.read_text().splitlines() if (record := json.loads(line))["id"] in chosen]
        print(f"{len(rows)} of {settings['faces']} faces are the hardest")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    (out.parent / "manifest.json").write_text(json.dumps({"image_root": str(root)}))


def question() -> str:
    """Return what algorithm=grpo asks."""
    import yaml

    asked = yaml.safe_load((Path(__file__).parents[1] / "conf" / "data" / "records.yaml").read_text())["question"]
    return str(asked).strip()


def row(face: Face, asked: str, answer: str, root: Path) -> dict[str, Any]:
    """Return a LLaVA conversation about a face, whose picture lies below `root`."""
    image = str(Path(face.picture.file).resolve().relative_to(root))
    turns = [{"from": "human", "value": f"<image>\n{asked}"}, {"from": "gpt", "value": answer}]
    return {"id": face.id, "image": image, "sha256": face.picture.sha256, "conversations": turns}


def greedy(faces: Sequence[Face], asked: str, settings: Mapping[str, str]) -> list[str]:
    """Return the model's greedy answers."""
    from seke.models.llava_ov import LlavaOv
    from seke.training.grpo.greedy import answers

    model = Path(settings["outputs"]) / "train" / settings["model"] / "model"
    loaded = LlavaOv(str(model), attention="eager").load()
    return [answer.text for answer in answers(loaded, faces, asked, max_tokens=96)]


def units(faces: Sequence[Face], asked: str, settings: Mapping[str, str]) -> str:
    """Return how many action units are hit, missed and falsely named, how many answers repeat themselves, and how far
    samples of a face differ.
    """
    texts = [(face, [text for _, text in answers]) for face, answers in sampled(faces, asked, settings)]
    groups = [(face, [extract(text) for text in answers]) for face, answers in texts]
    once = [face for face, _ in groups]
    answered = greedy(once, asked, settings)
    said = {
        "greedy": list(zip(once, map(extract, answered), strict=True)),
        "sampled": [(face, labels) for face, answers in groups for labels in answers],
    }
    twice = {"greedy": answered, "sampled": [text for _, answers in texts for text in answers]}
    lines = []
    for name, pairs in said.items():
        pooled = Counter(
            (bool((labels.action_units or {}).get(au)), active)
            for face, labels in pairs
            for au, active in (face.labels.action_units or {}).items()
        )
        hit, missed, false = pooled[True, True], pooled[False, True], pooled[True, False]
        recall, precision = hit / max(1, hit + missed), hit / max(1, hit + false)
        lines.append(
            f"{name}: {hit} hit, {missed} missed, {false} false; recall {recall:.1%}, precision {precision:.1%}; "
            f"{fmean(repeats(text) for text in twice[name]):.1%} of the answers say something twice"
        )
    differ = [
        len({bool((labels.action_units or {}).get(au)) for labels in answers}) > 1
        for face, answers in groups
        for au in face.labels.action_units or {}
    ]
    return "\n".join([*lines, f"samples of a face differ about {sum(differ) / max(1, len(differ)):.1%} of its units"])


def hardest(rewards: Mapping[str, Sequence[float]], share: float) -> set[str]:
    """Return that share of the ids whose answers' rewards differ most, by standard deviation; none that are all alike.

    >>> hardest({"a": [1, 1], "b": [0, 1], "c": [0.4, 0.6]}, 0.3)
    {'b'}
    """
    spread = {id_: pstdev(earned) for id_, earned in rewards.items()}
    ranked = sorted((id_ for id_ in spread if spread[id_] > 0), key=lambda id_: (-spread[id_], id_))
    return set(ranked[: math.ceil(share * len(rewards))])


def sampled(
    faces: Sequence[Face], asked: str, settings: Mapping[str, str]
) -> Iterator[tuple[Face, list[tuple[float, str]]]]:
    """Yield the first faces that algorithm=grpo would ask about, with n sampled answers and what each earns."""
    import torch
    import yaml

    from seke.models.llava_ov import LlavaOv
    from seke.training.grpo import shared_prompts
    from seke.training.grpo.records import order
    from seke.training.grpo.run import judge_of
    from seke.training.grpo.settings import Grpo

    given = yaml.safe_load((Path(__file__).parents[1] / "conf" / "algorithm" / "grpo.yaml").read_text())["algorithm"]
    given.pop("_target_")
    algorithm, count, n, seed = Grpo(**given), int(settings["faces"]), int(settings["n"]), int(settings["seed"])
    judge, model = judge_of(algorithm, faces), Path(settings["outputs"]) / "train" / settings["model"] / "model"
    chosen = [faces[place] for place in order(len(faces), count, 1, seed)]
    loaded = LlavaOv(str(model), attention="eager").load()
    torch.manual_seed(seed)
    for start in range(0, len(chosen), algorithm.prompts):
        batch = chosen[start : start + algorithm.prompts]
        parts = [{"type": "image"}, {"type": "text", "text": asked}]
        text = loaded.processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        given = loaded.processor(
            images=[face.picture.picture() for face in batch], text=[text] * len(batch), padding=True,
            padding_side="left", return_tensors="pt",
        )  # fmt: skip
        images = {name: given[name] for name in ("pixel_values", "image_sizes")}
        each = torch.arange(len(batch)).repeat_interleave(n)
        prompts = shared_prompts.Prompts(given["input_ids"], given["attention_mask"], images, each)
        answers = shared_prompts.sample(
            loaded.model, prompts, algorithm.max_tokens, algorithm.temperature, [loaded.end]
        )
        for place, face in enumerate(batch):
            worth = []
            for ids in answers[place * n : (place + 1) * n]:
                answer, ended = loaded.decode(ids), ids[-1] == loaded.end
                worth.append((judge.total(judge.parts(answer, face.labels, ended)) or 0.0, answer))
            yield face, worth


def table(outputs: Path, runs: Sequence[str]) -> str:
    """Return the stages of one recipe as a table: a run for each seed, of which the means are printed.

    Differences are in the measures' own units with 95 % intervals: by subject for one seed, and for several by what
    seeds and subjects make them vary by (`seke.core.intervals.over_seeds`).
    """
    folder = outputs / "evaluate"
    stages = [*("before", *CONTROLS, REINFORCED), *(f"{REINFORCED}-{stage}" for stage in CONTROLS)]
    for name in [f"{run}-{stage}" for run in runs for stage in stages]:
        if not (folder / name / "metrics.json").is_file():
            raise SystemExit(f"{folder / name}: no finished evaluate run; run scripts/rl.sh name=<that of the table>")
    head, lines = f"{'':16}" + "".join(f"{measure.name:>36}" for measure in MEASURES), list[str]()
    for stage in ("before", *CONTROLS, REINFORCED):
        measured = [json.loads((folder / f"{run}-{stage}" / "metrics.json").read_text()) for run in runs]
        differs = [] if stage == "before" else [compared(folder / f"{run}-{stage}") for run in runs]
        lines.append(f"{stage:16}" + "".join(f"{cell(measured, differs, measure):>36}" for measure in MEASURES))
    lines += ["", f"{REINFORCED} minus"]
    for stage in CONTROLS:
        differs = [compared(folder / f"{run}-{REINFORCED}-{stage}") for run in runs]
        lines.append(f"  {stage:14}" + "".join(f"{difference(differs, measure):>36}" for measure in MEASURES))
    return "\n".join([head, *lines])


def compared(run: Path) -> dict[tuple[str, str], Difference]:
    """Return how an evaluation differs from another, by task and metric."""
    return {
        (found["task"], found["metric"]): Difference(
            Estimate(found["difference"], *(found["ci95"] or (None, None))), found["p"], found["drawn_from"]
        )
        for found in json.loads((run / "comparison.json").read_text())["metrics"]
    }


def cell(measured: Sequence[Mapping[str, Any]], differs: Sequence[Mapping[Any, Difference]], measure: Measure) -> str:
    """Return the mean of a measure, and how it differs; - of what no record has a label for."""
    if not all(metrics.get(measure.task) for metrics in measured):
        return "-"
    value = fmean(metrics[measure.task][measure.metric] for metrics in measured)
    return f"{measure.printed(value)} {difference(differs, measure) if differs else ''}".strip()


def difference(differs: Sequence[Mapping[Any, Difference]], measure: Measure) -> str:
    """Return the mean of a difference with its interval; - where none is known."""
    found = [one[measure.task, measure.metric] for one in differs if (measure.task, measure.metric) in one]
    value, low, high = over_seeds(found).estimate
    if value is None:
        return "-"
    shown = [f"{measure.scale * bound:+.{measure.digits}f}" for bound in (value, low, high) if bound is not None]
    return f"{shown[0]} ({' to '.join(shown[1:])})" if len(shown) > 1 else shown[0]


if __name__ == "__main__":
    main(sys.argv[1:])
