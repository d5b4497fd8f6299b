"""Killing, pausing, cutting and filling at random moments while people label in a real Label Studio.

`python -m tests.chaos --help`. Afterwards nothing may be lost, doubled or mixed, and nobody may have been needed.
"""
