"""ImageRecord -> InstructionRecord: uncertainty, stopping, sampling (Algorithm 1), summary, checks."""
