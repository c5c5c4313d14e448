"""Hugging Face models and processors made ready for supervised fine-tuning."""
