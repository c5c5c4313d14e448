"""What an annotator's answers are worth, learnt on masked human labels."""
