"""Hugging Face models and processors made ready for supervised fine-tuning."""

import logging

# transformers imports torchao where it is installed, which then tells what it cannot load on this machine.
for _talker in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_talker).setLevel(logging.ERROR)
