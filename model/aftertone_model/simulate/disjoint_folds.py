"""Folds in which neither a speaker nor a sentence is both learned from and tested on.

Where a method learns transcripts, speakers apart isn't enough: acted corpora have everybody say the same few sentences.
Each fold leaves out a group of speakers and a group of sentences. It tests on those speakers' clips of those sentences
and learns from the other speakers' clips of the other sentences; the rest is in neither. Clips without a sentence go by
their speaker alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aftertone_model.data.clips import Clip
from aftertone_model.errors import SimulationError
from aftertone_model.simulate.prepared import Prepared
from aftertone_model.two_stage_adapters.transcripts import TRANSCRIPT, normalised

SENTENCE = "sentence_id"  # a manifest's column: which sentence it is, within a corpus
GROUPS = 3  # of sentences; fold k leaves out group k modulo so many, so that about a third of them


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Clips of one fold."""

    learning: tuple[Clip, ...]
    tested: tuple[Clip, ...]


def sentence_of(clip: Clip) -> str:
    """Names what is said: the transcript, or the corpus' number of the sentence; "" where neither is known."""
    if spoken := normalised(clip.attributes.get(TRANSCRIPT, "")):
        return spoken
    number = clip.attributes.get(SENTENCE, "")
    return f"{clip.attributes.get('corpus', '')}:{number}" if number else ""


def sentence_groups(clips: Sequence[Clip], labels: Sequence[int]) -> list[int | None]:
    """The group of each clip's sentence, None without a sentence; each group has about the share of every class.

    Raises:
        SimulationError: there are fewer sentences than groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    sentences = [sentence_of(clip) for clip in clips]
    known = [row for row, sentence in enumerate(sentences) if sentence]
    if (count := len({sentences[row] for row in known})) < GROUPS:
        raise SimulationError(
            f"The corpus has {count} different sentences, too few to learn from some and test on others. Give the "
            f"manifest a column {TRANSCRIPT} with more of them."
        )
    found: list[int | None] = [None] * len(clips)
    truth = [labels[row] for row in known]
    splitter = StratifiedGroupKFold(GROUPS, shuffle=True, random_state=0)
    for group, (_, inside) in enumerate(splitter.split(truth, truth, [sentences[row] for row in known])):
        for place in inside:
            found[known[place]] = group
    return found


def sides(prepared: Prepared, fold: int) -> Sides:
    """Clips of the fold; its speakers are those of `prepared.folds`."""
    groups = sentence_groups(prepared.clips, prepared.labels)
    left_out, speakers = fold % GROUPS, set(prepared.folds[fold])
    rows = np.arange(len(prepared.clips))
    learning = [row for row in rows if row not in speakers and groups[row] != left_out]
    tested = [row for row in rows if row in speakers and groups[row] in (None, left_out)]
    if not learning or not tested:
        raise SimulationError(f"Fold {fold} has no clips to learn from or to test on. Ask for fewer folds.")
    return Sides(
        learning=tuple(prepared.clips[row] for row in learning), tested=tuple(prepared.clips[row] for row in tested)
    )
