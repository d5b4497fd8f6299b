"""From a backbone and labels to a classifier, and its scores on clips."""
