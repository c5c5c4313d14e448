"""Ask a vision LLM the benchmark's question about every record, or score answers made elsewhere.

python evaluate.py model.path=demo-seke name=demo-seke          a checkpoint: a train run, a directory or a Hub id
python evaluate.py system=gpt_4o name=gpt-4o records=feid       a row of Table 2; backend=openai|vllm|... for any other
python evaluate.py predictions=theirs.csv predictions_fields="{id: file, text: response}" name=theirs
python evaluate.py model.path=demo-seke name=b compare=demo-base groups="[attributes.glasses]" judge=llm
python evaluate.py image=face.jpg model.path=demo-seke          one picture: prints the answer and what is read from it
-> outputs/evaluate/<name>/{answers.jsonl, predictions.jsonl, metrics.json, table.md}
"""

import os
import sys
from pathlib import Path

from omegaconf import DictConfig

from seke import making, runs
from seke.benchmark import filled_card, predict, single, task
from seke.doors import build, door, finished, open_run, plain


@door
def evaluate(cfg: DictConfig) -> None:
    """Answer, judge, score; every step leaves its file, every mistake is told before anything is asked."""
    outputs, benchmark, judging = Path(cfg.paths.outputs), build(cfg.benchmark), build(cfg.judge)
    model = None
    if cfg.predictions is None and isinstance(cfg.backend.get("model"), DictConfig):  # not a name on a server
        cfg.backend.model.path = model = predict.checkpoint(str(cfg.backend.model.path), outputs)
    if cfg.image is not None:
        print(single.tell(Path(cfg.image), build(cfg.backend), benchmark, judging))
        return
    asked = task.check(benchmark, outputs, plain(cfg), model)
    # A mistaken setting is told while the name is still free, and an earlier run of that name still there.
    backend = None if asked.answers is not None or finished(cfg, "evaluate") else build(cfg.backend)
    place = predict.Place.of(os.environ)
    place.enter(outputs / "evaluate" / cfg.name, cfg.overwrite)
    run = open_run(cfg, "evaluate", asked.inputs)
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
        return
    answers = asked.answers
    if answers is None:
        root = runs.image_root(asked.inputs["records"], cfg.paths.images)
        answers = predict.ask_all(asked.records, backend, benchmark.request, root, run.path, place)
    if answers is None:
        return  # of several processes the first one has all answers, and scores
    judge = judging.ready(answers)
    from seke.benchmark.score import score  # torchmetrics brings torch

    how = {**asked.scoring, "remarks": [*asked.remarks, *judge.remarks]}
    made_from = asked.inputs["records"]
    facts = score(run.path, benchmark, asked.records, answers, judge.read, made_from, cfg.seed, **how)
    if model is not None and (card := filled_card.fill(run, model, facts["notes"])):
        print(f"{card}: the model's card with these results")
    run.finish(**facts, made=making.made(sys.argv))


if __name__ == "__main__":
    evaluate()
