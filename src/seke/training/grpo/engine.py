"""TRL's GRPOTrainer with this program's checkpoints, rewards and records; imported only where TRL is installed."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from trl import GRPOTrainer

from seke.answers.extract import describe, extract
from seke.training.grpo import credit, shared_prompts
from seke.training.grpo.greedy import means
from seke.training.grpo.records import Face
from seke.training.grpo.rewards import Judge, Rewards, repeats

WEIGHTS: Final = "trained.safetensors"
"""Of a checkpoint: the weights that train, under the names that they have in memory.

transformers' own checkpoint has the Hub's names, which its Trainer does not translate back when it resumes: a
LLaVA-OneVision would go on with the weights that it began with, and only a warning would say so.
"""


PICTURES: Final = ("pixel_values", "image_sizes")
"""What a LLaVA-OneVision takes of pictures, a row for each."""


class Engine(GRPOTrainer):  # type: ignore[misc]
    """GRPO whose checkpoints hold what trains, and which knows how long it samples.

    Args:
        share: whether a face's answers share what the model computes of its picture and question.
        token_advantages: returns an advantage for each token of the answers at hand; None: TRL's, one an answer.
        demonstrations: so many answers of each group, its last ones, are not sampled.
        demonstrate: returns the answers with demonstrations among them, of sampled tokens and faces.
    """

    clock = staticmethod(time.perf_counter)
    """Returns seconds; a benchmark counts the processor's."""

    def __init__(
        self,
        *arguments: Any,
        share: bool = False,
        token_advantages: Callable[[], Sequence[Sequence[float]]] | None = None,
        demonstrations: int = 0,
        demonstrate: Callable[[Sequence[list[int]], Sequence[int]], list[list[int]]] | None = None,
        **named: Any,
    ) -> None:
        self.sampling = self.learning = 0.0
        """Seconds of sampling, and of forward and backward passes that are learnt from, since they were last read."""
        self._making = 0.0
        self.share, self.token_advantages = share, token_advantages
        self.demonstrations, self.demonstrate = demonstrations, demonstrate
        self._asked: list[int] = []
        super().__init__(*arguments, **named)

    def training_step(self, *arguments: Any, **named: Any) -> Any:
        """Run a step's passes, and count their seconds, those of making the batch apart."""
        made, began = self._making, self.clock()
        try:
            return super().training_step(*arguments, **named)
        finally:
            self.learning += self.clock() - began - (self._making - made)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        began = self.clock()
        try:
            return super()._prepare_inputs(generation_batch)
        finally:
            self._making += self.clock() - began

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self._asked = [row["face"] for row in inputs]
        found = super()._generate_and_score_completions(inputs)
        if self.token_advantages is not None:
            values_BC = torch.zeros_like(found["completion_mask"], dtype=torch.float32)
            for row, values in enumerate(self.token_advantages()):
                values_BC[row, : len(values)] = torch.tensor(values)
            found["advantages"] = values_BC
        return found

    def _generate(self, prompts: list[Any]) -> Any:
        began = self.clock()
        try:
            return super()._generate(prompts)
        finally:
            self.sampling += self.clock() - began

    def _generate_single_turn(self, *arguments: Any, **named: Any) -> Any:
        answers, logs = self._sampled(*arguments, **named)
        if self.demonstrate is None:
            return answers, logs
        found = self.demonstrate(answers, self._asked)
        if logs is not None:  # vLLM's log-probabilities: there is none of what it has not sampled, and TRL's ratio is 1
            pairs = zip(logs, found, answers, strict=True)
            logs = [log if new is sampled else [None] * len(new) for log, new, sampled in pairs]
        return found, logs

    def _sampled(
        self, prompt_ids: list[list[int]], images: Any, fields: Mapping[str, Any], *more: Any, **named: Any
    ) -> Any:
        pictures = {name: _rows(fields[name]) for name in PICTURES if name in fields}
        if not self.share or self.use_vllm or len(pictures) < len(PICTURES):
            return super()._generate_single_turn(prompt_ids, images, fields, *more, **named)
        width, pad = max(map(len, prompt_ids)), int(self.processing_class.tokenizer.pad_token_id)
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in prompt_ids])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompt_ids])
        device = self.accelerator.device
        prompts = shared_prompts.distinct(ids.to(device), mask.to(device), _moved(pictures, device))
        model, group = self.accelerator.unwrap_model(self.model_wrapped), self.num_generations
        rows = [row for row in range(len(prompt_ids)) if row % group < group - self.demonstrations]
        prompts = prompts._replace(of_B=prompts.of_B[rows])
        with self.accelerator.autocast():
            said = shared_prompts.sample(
                model, prompts, self.max_completion_length, self.temperature, self.eos_token_ids
            )
        answers: list[list[int]] = [[] for _ in prompt_ids]
        for row, tokens in zip(rows, said, strict=True):
            answers[row] = tokens
        return answers, None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **fields: Any,
    ) -> Any:
        pictures = {name: fields[name] for name in PICTURES if isinstance(fields.get(name), Tensor)}
        if not self.share or len(pictures) < len(PICTURES):
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **fields
            )
        model, parts = self.accelerator.unwrap_model(model), list[tuple[Tensor, Tensor]]()
        size = batch_size or len(input_ids)
        for start in range(0, len(input_ids), size):
            rows = slice(start, start + size)
            ids, mask = input_ids[rows], attention_mask[rows]
            prompts = shared_prompts.distinct(
                ids[:, :-logits_to_keep], mask[:, :-logits_to_keep], {k: v[rows] for k, v in pictures.items()}
            )
            with self.accelerator.autocast():
                parts.append(
                    shared_prompts.log_probabilities(
                        model, prompts, ids[:, -logits_to_keep:], mask[:, -logits_to_keep:], self.temperature
                    )
                )
        said, entropies = (torch.cat(column) for column in zip(*parts, strict=True))
        return said, entropies if compute_entropy else None, None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_trained(self.model, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trained(self.model, Path(resume_from_checkpoint) / WEIGHTS)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none: the run has a card of its own."""

    def _send_telemetry(self, *_: Any, **__: Any) -> None:
        """Tell nobody."""


def _rows(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.stack([torch.as_tensor(row) for row in values])


def _moved(columns: Mapping[str, Tensor], device: Any) -> dict[str, Tensor]:
    return {name: values.to(device) for name, values in columns.items()}


def trained(model: Any) -> dict[str, Tensor]:
    """Return the parameters that train, by name; a tied one has one name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_trained(model: Any, file: Path) -> None:
    """Write the weights that train."""
    save_file({name: value.detach().to("cpu", copy=True).contiguous() for name, value in trained(model).items()}, file)


def load_trained(model: Any, file: Path) -> None:
    """Put weights back that `save_trained` has written."""
    values, mine = load_file(file), trained(model)
    if values.keys() != mine.keys():
        raise ValueError(f"{file} holds other weights than those that train ({min(values.keys() ^ mine.keys())})")
    with torch.no_grad():
        for name, parameter in mine.items():
            parameter.copy_(values[name])


class RewardFunction:
    """The reward as TRL asks for it; keeps the step's answers for the log.

    Args:
        judge: what an answer earns.
        faces: by the rows' column `face`.
        end: id of the token that ends an answer.
        group: answers to each face.
        threshold: of action units, where each statement is paid for itself (`seke.training.grpo.credit`).
        piece: writes a token alone; with `threshold` only.
        demonstrations: so many of a group's answers, its last ones, are not sampled.
    """

    __name__ = "reward"

    def __init__(
        self,
        judge: Judge,
        faces: Sequence[Face],
        end: int,
        group: int,
        threshold: float | None = None,
        piece: Callable[[int], str] = str,
        demonstrations: int = 0,
    ) -> None:
        self.judge, self.faces, self.end, self.group = judge, faces, end, group
        self.threshold, self.piece, self.demonstrations = threshold, piece, demonstrations
        self.pieces: list[list[str]] = []
        """Of the answers in hand: what their tokens write."""
        self.answers: list[tuple[Face, str, Rewards, float]] = []
        """Of the step in hand."""
        self.cut = 0

    def __call__(
        self, completions: Sequence[Any], completion_ids: Sequence[Sequence[int]], face: Sequence[int], **_: Any
    ) -> list[float | None]:
        """Return the reward of each answer; None where its record has no label that is weighted."""
        rewards: list[float | None] = []
        self.answers, self.cut, self.pieces = [], 0, []
        for said, ids, number in zip(completions, completion_ids, face, strict=True):
            text, asked = str(said[0]["content"]).strip(), self.faces[number]
            ended = bool(ids) and ids[-1] == self.end
            parts = self.judge.parts(text, asked.labels, ended)
            total = self.judge.total(parts)
            rewards.append(total)
            self.cut += not ended
            self.pieces.append([self.piece(int(token)) for token in ids])
            self.answers.append((asked, text, parts, 0.0 if total is None else total))
        return rewards

    def token_advantages(self) -> list[list[float]]:
        """Return an advantage for each token of the answers in hand, each statement paid for itself."""
        assert self.threshold is not None
        found: list[list[float]] = []
        for start in range(0, len(self.answers), self.group):
            group = self.answers[start : start + self.group]
            truth = group[0][0].labels
            earnings = [
                credit.earned(extract(text), truth, parts, self.judge, self.threshold) for _, text, parts, _ in group
            ]
            forms = [self.judge.weights.get("form", 0.0) * (parts.form or 0.0) for _, _, parts, _ in group]
            pieces = self.pieces[start : start + self.group]
            found += credit.advantages(pieces, earnings, forms, list(truth.action_units or {}))
        return credit.scaled(found)

    def metrics(self) -> dict[str, float]:
        """Return what the step's answers say of themselves: rewards by task, groups that teach nothing, diversity."""
        if not self.answers:
            return {}
        whole = [self.answers[k : k + self.group] for k in range(0, len(self.answers), self.group)]
        groups = [group[: self.group - self.demonstrations] for group in whole]
        sampled = [answer for group in groups for answer in group]
        constant = [group for group in whole if len({round(reward, 9) for *_, reward in group}) == 1]
        different = [len({_said(text) for _, text, *_ in group}) / len(group) for group in groups]
        return {
            **{f"reward_{name}": value for name, value in means([parts for _, _, parts, _ in sampled]).items()},
            "constant_groups": len(constant) / len(groups),
            "distinct": sum(different) / len(different),
            "cut": self.cut / len(sampled),
            "repeating": sum(repeats(text) for _, text, *_ in sampled) / len(sampled),
            "reward": sum(reward for *_, reward in sampled) / len(sampled),
        }

    def rows(self, step: int, count: int, question: str) -> list[str]:
        """Return the first answer to each of `count` faces of the step as lines of answered.jsonl."""
        firsts = self.answers[:: self.group][:count]
        return [
            json.dumps(
                {
                    "step": step, "id": face.id, "image": [face.picture.file], "question": question, "answer": text,
                    "reference": describe(face.labels), "reward": round(reward, 4),
                    "rewards": {name: round(v, 4) for name, v in parts._asdict().items() if v is not None},
                },
                ensure_ascii=False,
            )
            for face, text, parts, reward in firsts
        ]  # fmt: skip


def _said(text: str) -> tuple[object, ...]:
    """Return what an answer says but for its numbers, of which no two are alike: expression and active AUs."""
    said = extract(text)
    return (said.expression, *said.active)


def own_names(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return TRL's numbers of a step under the names of metrics.csv; what is not a number is left out."""
    names: dict[str, str] = {
        "loss": "loss", "grad_norm": "grad_norm", "learning_rate": "lr", "reward": "reward",
        "reward_std": "reward_std", "entropy": "entropy", "kl": "kl", "completions/mean_length": "length",
        "completions/max_length": "length_max", "clip_ratio/region_mean": "clipped",
    }  # fmt: skip
    return {own: float(logs[name]) for name, own in names.items() if isinstance(logs.get(name), int | float)}
