"""Commands that attack Aftertone for as long as one likes; `python -m tests.fuzz.decode` is one."""
