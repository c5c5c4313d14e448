"""Ask a vision LLM the benchmark's question about every record, or score answers made elsewhere.

python evaluate.py model.path=demo-seke name=demo-seke          a checkpoint: a train run, a directory or a Hub id
python evaluate.py system=gpt_4o name=gpt-4o records=feid       a row of Table 2; backend=openai|vllm|... for any other
python evaluate.py predictions=theirs.csv predictions_fields="{id: file, text: response}" name=theirs
python evaluate.py model.path=demo-seke name=b compare=demo-base groups="[attributes.gender]" judge=llm
python evaluate.py image=face.jpg model.path=demo-seke          one picture: prints the answer and what is read from it
-> outputs/evaluate/<name>/{answers.jsonl, predictions.jsonl, metrics.json, table.md}
"""

import os
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from seke import runs
from seke.benchmark import contamination, groups, importing, predict, significance, single
from seke.doors import build, door, open_run, plain


@door
def evaluate(cfg: DictConfig) -> None:
    """Answer, judge, score; every step leaves its file, every mistake is told before anything is asked."""
    outputs, benchmark, judging = Path(cfg.paths.outputs), build(cfg.benchmark), build(cfg.judge)
    model, place, elsewhere = None, predict.Place.of(os.environ), cfg.predictions is not None
    if not elsewhere and isinstance(cfg.backend.get("model"), DictConfig):  # of conf/model, not a name on a server
        cfg.backend.model.path = model = predict.checkpoint(str(cfg.backend.model.path), outputs)
    if cfg.image is not None:
        print(single.tell(Path(cfg.image), build(cfg.backend), benchmark, judging))
        return
    inputs = predict.inputs(benchmark, outputs, cfg.records, cfg.predictions, cfg.compare)
    every = predict.read_records(inputs["records"])
    records, ids = predict.evenly(every, cfg.limit), {record.id for record in every}
    groups.check(cfg.groups, records, benchmark)
    rival = partial(significance.rival, ids={record.id for record in records}, every=benchmark.request is not None)
    against = (str(cfg.compare), rival(inputs["compare"])) if cfg.compare else None
    given = importing.read(inputs["predictions"], ids, plain(cfg.predictions_fields)) if elsewhere else None
    seen = contamination.Finding() if elsewhere else contamination.check(records, model, outputs, cfg.allow_overlap)
    place.enter(outputs / "evaluate" / str(cfg.name), cfg.overwrite)
    run = open_run(cfg, "evaluate", inputs | (predict.weights(model) if model else {}))
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
        return
    root = runs.image_root(inputs["records"], cfg.paths.images)
    ask = partial(predict.ask_all, records, request=benchmark.request, root=root, run=run.path, place=place)
    answers = given.answers if given else ask(build(cfg.backend))
    if answers is None:
        return  # of several processes the first one has all answers, and scores
    judge = judging.ready(answers)
    from seke.benchmark.score import score  # torchmetrics brings torch

    how = {"against": against, "groups": list(cfg.groups), "marks": seen.notes}
    how["remarks"] = [*seen.remarks, *(given.remarks if given else ()), *judge.remarks]
    run.finish(**score(run.path, benchmark, records, answers, judge.read, inputs["records"], cfg.seed, **how))


if __name__ == "__main__":
    evaluate()
