"""Settings of conf/trainer/*.yaml, and Lightning's Trainer made of them."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import Strategy

from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.setting_checks import check_between, check_whole
from seke.training.launcher import resolved
from seke.training.speedups import FUSED, check_compiler, check_float8

PRECISIONS: Final = ("auto", "32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")
ACCELERATORS: Final = ("cpu", "gpu", "cuda", "mps", "auto")
STRATEGIES: Final = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
"""Those whose checkpoints and exports are tested; DeepSpeed's are objects that conf/trainer/deepspeed_*.yaml make."""


class Zero(NamedTuple):
    """ZeRO's stage (0: none) and what it offloads (Rajbhandari et al. 2020)."""

    stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False


@dataclass
class Training:
    """How to train (conf/trainer/*.yaml)."""

    accelerator: str = "cpu"
    devices: int | str = 1
    """Ranks of a machine."""
    num_nodes: int = 1
    """Machines; torchrun or Slurm starts a process for every rank of them."""
    strategy: Any = "auto"
    precision: str = "32-true"
    """auto: bf16-mixed where the device multiplies in bfloat16 by instructions of its own, else 32-true."""
    max_epochs: int = 1
    max_steps: int = -1
    """Optimiser steps; -1: as many as the epochs have."""
    batch_size: int = 1
    """Samples a device and batch."""
    accumulate: int = 1
    """Batches a global step; the loss is the same mean over tokens however a step is cut up."""
    clip: float = 1.0
    """Largest gradient norm."""
    warm_up: float = 0.03
    log_every: int = 10
    """Steps between logged numbers."""
    checkpoint_every: int = 500
    """Steps between checkpoints that an interrupted run resumes from."""
    validate_every: int | None = None
    """Steps between evaluations of the validation loss; None: at the end of every epoch."""
    patience: int | None = None
    """Evaluations without a lower validation loss after which training stops; None: it never stops early."""
    keep_best: bool = True
    """Whether a watched run exports the weights with the lowest validation loss rather than the last ones."""
    answered: int = 0
    """How many images are answered as training goes on, the same ones each time; see answered.jsonl."""
    answer_every: int | None = None
    """Steps between these answers; None: at the end of every epoch."""
    peak_tflops: float | None = None
    """What one device can do in bfloat16, for the MFU; None: known by the device's name, or no MFU is logged."""
    activation_checkpointing: bool | Literal["auto"] = False
    """Whether activations are computed again in the backward pass; auto: where a GPU would not hold them."""
    compile: bool = False
    """Whether transformer blocks are compiled (torch.compile, block by block)."""
    fused_loss: str | None = None
    """Whose fused head and cross-entropy is used, torch or liger; None: nobody's, one follows the other."""
    float8: bool = False
    """Whether the language model's blocks multiply in float8."""
    threads: int | None = None
    """CPU threads; None leaves PyTorch's choice."""

    def __post_init__(self) -> None:
        if self.precision in ("bf16-true", "16-true"):
            problem = "it would round RoPE's frequencies and so displace tokens"
            raise UserError("trainer.precision", self.precision, problem, "use bf16-mixed with model.dtype=bfloat16")
        _check_among("trainer.precision", self.precision, PRECISIONS)
        _check_among("trainer.accelerator", self.accelerator, ACCELERATORS)
        if not isinstance(self.strategy, Strategy):
            remedy = f"use {', '.join(STRATEGIES)}, or trainer=deepspeed_zero2 and its like"
            _check_among("trainer.strategy", self.strategy, STRATEGIES, remedy)
        if not _counts_devices(self.devices):
            raise UserError("trainer.devices", self.devices, "no number of devices", "use 1 or more, or auto")
        if self.max_steps == 0:
            raise UserError("trainer.max_steps", 0, "nothing would be trained", "use 1 or more, or -1 for whole epochs")
        check_whole("trainer.max_steps", self.max_steps, -1)
        for name in ("batch_size", "accumulate", "max_epochs", "num_nodes", "checkpoint_every", "log_every"):
            check_whole(f"trainer.{name}", getattr(self, name), 1)
        for name in ("validate_every", "patience", "answer_every", "threads"):
            check_whole(f"trainer.{name}", getattr(self, name), 1, optional=True)
        check_whole("trainer.answered", self.answered, 0)
        check_between("trainer.clip", self.clip, 0, optional=True)
        check_between("trainer.warm_up", self.warm_up, 0, 1)
        check_between("trainer.peak_tflops", self.peak_tflops, 0, optional=True)
        if self.activation_checkpointing not in (True, False, "auto"):
            given = self.activation_checkpointing
            raise UserError("trainer.activation_checkpointing", given, "unknown", "use true, false or auto")
        for name in ("compile", "float8"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"trainer.{name}", getattr(self, name), "neither true nor false", "use true or false")
        if self.fused_loss is not None:
            _check_among("trainer.fused_loss", self.fused_loss, FUSED, f"use {', '.join(FUSED)} or null")
        for name in ("compile", "float8"):
            if getattr(self, name) and self.master_weights and self.zero.stage == 3:
                problem = "ZeRO-3 gathers weights by hooks that it does not run"
                raise UserError(f"trainer.{name}", True, problem, "use trainer=fsdp2 or deepspeed_zero2")
        self.devices, self.num_nodes = resolved(self.devices, self.num_nodes)

    def check_machine(self) -> None:
        """Refuse, before anything is loaded, what this machine has not.

        Raises:
            UserError: naming what it has.
        """
        known = {"cpu": CPUAccelerator, "cuda": CUDAAccelerator, "mps": MPSAccelerator}
        there = [name for name, kind in known.items() if kind.is_available()]
        wanted = {"gpu": ("cuda", "mps"), "auto": tuple(there)}.get(self.accelerator, (self.accelerator,))
        if not set(wanted) & set(there):
            remedy = f"this machine has {', '.join(there)}: use trainer=cpu or trainer.accelerator={there[0]}"
            raise UserError("trainer.accelerator", self.accelerator, "there is none here", remedy)
        if self.float8:
            check_float8(self.on_gpu, self.own_gpu)
        if self.compile:
            check_compiler(self.on_gpu)
        if self.numerics.startswith("bf16") and not self.on_gpu and not multiplies_bfloat16():
            print(
                f"warning: trainer.precision={self.precision}: this processor has no products of bfloat16; imitated, "
                "they are several times slower than float32; use trainer.precision=auto",
                file=sys.stderr,
            )

    @property
    def master_weights(self) -> bool:
        """Whether the strategy keeps float32 master copies of bfloat16 weights by itself."""
        return "DeepSpeed" in type(self.strategy).__name__

    @property
    def fully_sharded(self) -> bool:
        """Whether FSDP2 splits the weights up."""
        return type(self.strategy).__name__ == "FullyShardedStrategy"

    @property
    def on_gpu(self) -> bool:
        """Whether GPUs train."""
        return self.accelerator in ("gpu", "cuda") or (self.accelerator == "auto" and torch.cuda.is_available())

    @property
    def numerics(self) -> str:
        """The precision as Lightning knows it; of auto, this machine's."""
        if self.precision != "auto":
            return self.precision
        fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if (fast if self.on_gpu else multiplies_bfloat16()) else "32-true"

    @property
    def own_gpu(self) -> torch.device | None:
        """The GPU that this process is going to train on; None: none does."""
        if not self.on_gpu or not CUDAAccelerator.is_available():
            return None
        chosen = CUDAAccelerator.parse_devices(-1 if self.devices == "auto" else self.devices) or [0]
        return torch.device("cuda", chosen[int(os.environ.get("LOCAL_RANK", "0")) % len(chosen)])

    @property
    def ranks(self) -> int:
        """How many processes would train; devices=auto counts what is here, one at least."""
        devices: Any = self.devices
        if isinstance(devices, list | tuple):
            return len(devices) * self.num_nodes
        if str(devices).lstrip("-").isdigit() and int(devices) > 0:
            return int(devices) * self.num_nodes
        return max(1, torch.cuda.device_count() if self.on_gpu else 1) * self.num_nodes

    @property
    def zero(self) -> "Zero":
        """What of its state the strategy shards, or keeps in the host's memory."""
        if self.fully_sharded:
            return Zero(3)
        settings = getattr(self.strategy, "config", None) or {}
        found = settings.get("zero_optimization") or {}
        return Zero(int(found.get("stage", 0)), "offload_optimizer" in found, "offload_param" in found)

    def lightning(self, **more: Any) -> pl.Trainer:
        """Build Lightning's Trainer.

        Raises:
            UserError: if this machine lacks what the settings ask for.
        """
        if self.validate_every:  # Lightning counts batches
            more |= {"val_check_interval": self.validate_every * self.accumulate, "check_val_every_n_epoch": None}
        try:
            return pl.Trainer(
                accelerator=self.accelerator,
                devices=self.devices,
                num_nodes=self.num_nodes,
                strategy=self.strategy,
                precision=self.numerics,
                max_epochs=self.max_epochs,
                max_steps=self.max_steps,
                accumulate_grad_batches=self.accumulate,
                gradient_clip_val=self.clip,
                use_distributed_sampler=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                inference_mode=not self.fully_sharded,  # what is gathered in inference mode knows no gradients later
                log_every_n_steps=self.log_every,
                **more,
            )
        except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise self._mistake(error) from error

    def _mistake(self, error: Exception) -> UserError:
        """Return what Lightning has to say about a setting as one line that names it."""
        problem = " ".join(str(error).split())
        # Whole sentences, as many as fit: a list of possible values that is cut short misleads.
        end = max(problem.rfind(". ", 0, 240), problem.rfind("? ", 0, 240))
        shown = problem[: end + 1] if len(problem) > 240 and end > 0 else shortened(problem, 240)
        names = ("devices", "precision", "strategy", "accelerator")
        name = next((name for name in names if name in problem.lower()), "accelerator")
        return UserError(
            f"trainer.{name}", getattr(self, name), shown.rstrip("."), "see conf/trainer for sets that fit"
        )


def multiplies_bfloat16() -> bool:
    """Return whether this CPU has products of bfloat16 (AVX-512 or AMX); emulated, they are slower than float32."""
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _check_among(argument: str, value: Any, known: Sequence[str], remedy: str = "") -> None:
    if not any(str(value) == name for name in known):
        raise UserError(argument, value, "unknown", remedy or f"use {', '.join(known)}")


def _counts_devices(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return value >= 1 or value == -1
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in value)
    return isinstance(value, str) and bool(
        re.fullmatch(r"auto|-1|[1-9]\d*|\d+(,\d+)*,?", value, re.ASCII) and value != "0"
    )
