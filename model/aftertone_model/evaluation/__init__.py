"""How good a classifier is: the held-out test set, metrics, calibration, stop advice."""
