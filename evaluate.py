"""Ask a vision LLM the benchmark's question about every record, or score answers made elsewhere.

python evaluate.py                                                  the tiny base on the prepared test faces "demo"
python evaluate.py model.path=demo-seke name=demo-seke              a checkpoint: a train run, a directory or a Hub id
python evaluate.py backend=simulated name=annotator                 any other vision LLM
python evaluate.py predictions=answers.jsonl name=theirs            rows of {"id", "text"} made elsewhere
python evaluate.py benchmark=reliability predictions=demo-seke name=demo-labels-seke
-> outputs/evaluate/<name>/{answers.jsonl, predictions.jsonl, metrics.json, table.md}
"""

from pathlib import Path

from omegaconf import DictConfig

from seke import runs
from seke.benchmark import judge, predict
from seke.benchmark.answer import read_answers
from seke.doors import build, door, open_run
from seke.errors import UserError


@door
def evaluate(cfg: DictConfig) -> None:
    """Answer, judge, score; every step leaves its file."""
    outputs, benchmark, read = Path(cfg.paths.outputs), build(cfg.benchmark), judge.named(cfg.judge)
    inputs = {"records": runs.locate("records", str(cfg.records), outputs, "prepare", benchmark.records_file)}
    if cfg.predictions is not None:
        inputs["predictions"] = runs.locate("predictions", str(cfg.predictions), outputs, *benchmark.predictions_from)
    elif benchmark.request is None:
        raise UserError("predictions", None, "this benchmark asks no model", "name the generate run to score")
    elif isinstance(cfg.backend.get("model"), DictConfig):  # one of conf/model, not the name of one on a server
        cfg.backend.model.path = predict.checkpoint(str(cfg.backend.model.path), outputs)
        inputs |= predict.weights(cfg.backend.model.path)
    every = predict.read_records(inputs["records"])
    records = predict.evenly(every, cfg.limit)
    run = open_run(cfg, "evaluate", inputs)
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
        return
    if cfg.predictions is not None:
        answers = read_answers(inputs["predictions"], {record.id for record in every})
    else:
        root = runs.image_root(inputs["records"], cfg.paths.images)
        answers = predict.ask(records, build(cfg.backend), benchmark.request, root, run.path / "answers.jsonl")

    from seke.benchmark.score import score  # torchmetrics brings torch

    run.finish(**score(run.path, benchmark, records, answers, read, inputs["records"], cfg.seed))


if __name__ == "__main__":
    evaluate()
