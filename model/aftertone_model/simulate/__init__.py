"""`aftertone simulate`: the learner on a labelled corpus whose labels are hidden and revealed as annotators would."""
