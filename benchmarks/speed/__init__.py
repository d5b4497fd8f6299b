"""Aftertone beside what people would use instead: the same weights and clips, in turn, on the same machine."""
