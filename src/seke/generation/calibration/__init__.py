"""Calibration: a model of the annotator's errors, learnt on masked human labels."""
