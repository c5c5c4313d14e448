"""Instruction data -> fine-tuned checkpoint: data, LightningModule, strategies, export."""
