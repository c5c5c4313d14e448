"""A whole evaluation: the plan, the answers, what they cost, predictions of other programs."""
