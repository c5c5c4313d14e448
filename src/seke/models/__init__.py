"""Model families: Hugging Face models and processors for training and answering."""

import logging

# transformers imports torchao where it is installed, which then tells what it cannot load on this machine.
for _talker in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_talker).setLevel(logging.ERROR)
