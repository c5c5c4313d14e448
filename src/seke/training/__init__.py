"""Instruction data -> fine-tuned checkpoint: data, LightningModule, strategies, export."""

import logging

# transformers imports torchao where it is installed, which then tells what it cannot load on this machine.
for _talker in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_talker).setLevel(logging.ERROR)
