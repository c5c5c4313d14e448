"""Reinforcement from human labels after supervised fine-tuning: GRPO through TRL's trainer, the rewards are ours."""
