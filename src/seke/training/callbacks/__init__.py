"""Lightning callbacks: throughput, fault guard, checkpoints, best checkpoint, sample answers, progress."""
