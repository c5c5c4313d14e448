"""What happens beside the training steps: throughput, guards, checkpoints, sample answers."""
