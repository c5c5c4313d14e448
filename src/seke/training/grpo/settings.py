"""Settings of conf/algorithm/grpo.yaml: how answers are sampled, rewarded and learnt from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

from seke.core.errors import UserError
from seke.core.setting_checks import check_between, check_whole
from seke.training.grpo.rewards import check_weights
from seke.training.settings import Training

LOSSES: Final = ("grpo", "dapo", "dr_grpo", "bnpo")
"""TRL's names: means over answers, over the step's tokens (Yu et al. 2025), over a constant (Liu et al. 2025), ..."""
LEVELS: Final = ("token", "sequence")
SCALES: Final = ("group", "batch", "none")
CREDITS: Final = ("answer", "statement")


@dataclass
class Grpo:
    """How to reinforce (conf/algorithm/grpo.yaml)."""

    prompts: int = 24
    """Faces a step."""
    group_size: int = 4
    """Answers to each face, which are held against each other."""
    temperature: float = 1.0
    max_tokens: int = 96
    """Of an answer; one that does not come to its end within them has no reward for form."""
    lr_share: float = 0.06
    """Learning rates are this share of model.lr and model.lr_of."""
    kl: float = 0.0
    """Weight of the divergence from the model that it began with; 0 keeps no copy of that."""
    clip: float = 0.2
    """How far the probability ratio may leave 1 (epsilon); upwards `clip_high`, where that is set."""
    clip_high: float | None = None
    iterations: int = 1
    """Updates on the same answers."""
    loss: str = "dapo"
    level: str = "token"
    """Of the probability ratio; sequence: GSPO (Zheng et al. 2025)."""
    scale: str = "group"
    """By whose standard deviation advantages are divided; none: Dr. GRPO."""
    rewards: Mapping[str, float] = field(
        default_factory=lambda: {"expression": 1, "action_units": 1, "valence": 1, "arousal": 1, "form": 0.2}
    )
    """Weights of the rewards."""
    reach: float = 0.5
    """How far off a valence or arousal may be and still earn something."""
    rarity: float = 0.5
    """AUs weigh base rate^-rarity in their F1: 0 all alike, 1 by the inverse."""
    specificity: float = 0.25
    """The share of inactive AUs not named counts to this power beside F1, more than 0."""
    credit: str = "statement"
    """What a reward is due to: each statement's own tokens (`seke.training.grpo.credit`), or all of an answer."""
    threshold: float = 0.4
    """With credit=statement: how probable an AU must be for its name to pay; half of the F1 that is reached is best."""
    demonstrations: int = 1
    """So many answers of each group are not sampled but written from the face's human labels."""
    shuffle: bool = False
    """Whether faces are rewarded by the labels of others of their source: a control."""
    keep_states: bool = True
    """Whether a frozen tower sees each picture of a step once, not once for each answer and pass."""
    share_prompts: bool = True
    """Whether a face's answers share what the model computes of its picture and question."""
    vllm: float | None = None
    """Share of the GPU's memory for a vLLM in the same process, which then samples; None: the model itself does."""

    def __post_init__(self) -> None:
        for name in ("prompts", "max_tokens", "iterations"):
            check_whole(f"algorithm.{name}", getattr(self, name), 1)
        if self.group_size == 1:
            remedy = "use 4 or more (8 is usual)"
            raise UserError("algorithm.group_size", 1, "one answer has none to be held against", remedy)
        check_whole("algorithm.group_size", self.group_size, 2)
        check_whole("algorithm.demonstrations", self.demonstrations, 0)
        if self.demonstrations >= self.group_size:
            problem = f"none of algorithm.group_size={self.group_size} answers to a face would be sampled"
            raise UserError("algorithm.demonstrations", self.demonstrations, problem, "use fewer, 1 for example")
        for name in ("temperature", "lr_share", "reach", "specificity"):
            check_between(f"algorithm.{name}", getattr(self, name), 0)
            if not getattr(self, name):
                raise UserError(f"algorithm.{name}", 0, "nothing would be learnt", "use more than 0")
        for name in ("kl", "clip", "rarity"):
            check_between(f"algorithm.{name}", getattr(self, name), 0)
        check_between("algorithm.threshold", self.threshold, 0, 0.95)
        check_between("algorithm.clip_high", self.clip_high, 0, optional=True)
        for name, known in (("loss", LOSSES), ("level", LEVELS), ("scale", SCALES), ("credit", CREDITS)):
            if getattr(self, name) not in known:
                raise UserError(f"algorithm.{name}", getattr(self, name), "unknown", f"use {', '.join(known)}")
        check_between("algorithm.vllm", self.vllm, 0, 1, optional=True)
        for name in ("shuffle", "keep_states", "share_prompts"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"algorithm.{name}", getattr(self, name), "neither true nor false", "use either")
        self.rewards = check_weights("algorithm.rewards", self.rewards)

    @property
    def answers(self) -> int:
        """Answers a step."""
        return self.prompts * self.group_size

    def check(self, training: Training) -> None:
        """Refuse what the settings of the trainer do not go with.

        Raises:
            UserError: naming the setting.
        """
        if training.ranks != 1 or training.strategy not in ("auto",):
            argument, given = "trainer.devices", training.devices
            if training.ranks == 1:
                argument, given = "trainer.strategy", type(training.strategy).__name__
            problem = "reinforcement runs in one process here, whole, without DeepSpeed or FSDP"
            raise UserError(argument, given, problem, "use trainer=cpu, gpu or gpu_7b with trainer.devices=1")
        if self.vllm is not None:
            _check_vllm(self.vllm, training.on_gpu)
        if training.max_steps < 1:
            raise UserError(
                "trainer.max_steps", training.max_steps, "no number of steps", "say how many: 90 is a start"
            )
        if self.answers % training.accumulate:
            problem = f"{self.answers} answers a step do not divide into so many batches"
            raise UserError("trainer.accumulate", training.accumulate, problem, "use one of their divisors")
        for name in ("compile", "float8", "fused_loss"):
            if getattr(training, name):
                raise UserError(f"trainer.{name}", getattr(training, name), "not there with algorithm=grpo", "leave it")
        if training.numerics not in ("32-true", "32", "bf16-mixed", "bf16"):
            raise UserError("trainer.precision", training.precision, "not there with algorithm=grpo", "use bf16-mixed")

    def _sampler(self) -> dict[str, Any]:
        if self.vllm is None:
            return {}
        return {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": self.vllm}

    def trl(self, training: Training, folder: str, seed: int) -> dict[str, Any]:
        """Return the arguments of TRL's GRPOConfig."""
        return {
            "output_dir": folder,
            "per_device_train_batch_size": self.answers // training.accumulate,
            "gradient_accumulation_steps": training.accumulate,
            "num_generations": self.group_size,
            "num_iterations": self.iterations,
            "max_completion_length": self.max_tokens,
            "temperature": self.temperature,
            "beta": self.kl,
            "epsilon": self.clip,
            "epsilon_high": self.clip_high,
            "loss_type": self.loss,
            "importance_sampling_level": self.level,
            "scale_rewards": self.scale,
            **self._sampler(),
            "shuffle_dataset": False,  # `records.order` has shuffled, by seed and step
            "max_steps": training.max_steps,
            "max_grad_norm": training.clip,
            "bf16": training.numerics.startswith("bf16"),
            "use_cpu": not training.on_gpu,
            "gradient_checkpointing": bool(training.activation_checkpointing),
            "save_steps": training.checkpoint_every,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "seed": seed,
            "data_seed": seed,
        }


def _check_vllm(share: float, on_gpu: bool) -> None:
    remedy = "leave it null: the model itself samples"
    if not find_spec("vllm"):
        raise UserError("algorithm.vllm", share, "vllm is not installed", f"pip install vllm, or {remedy}")
    if not on_gpu:
        raise UserError("algorithm.vllm", share, "it needs a GPU", f"use trainer=gpu, or {remedy}")


def check_installed() -> None:
    """Refuse to go on without TRL.

    Raises:
        UserError: saying how to install it.
    """
    missing = [name for name in ("trl", "accelerate") if find_spec(name) is None]
    if missing:
        raise UserError("algorithm", "grpo", f"{' and '.join(missing)} not installed", "pip install -e '.[rl]'")
