"""One annotator's answer about one clip."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A row of the table of votes."""

    clip: str  # id
    annotator: str  # who answered; votes of the same name come from the same person
    chosen: tuple[str, ...]  # words of the answer, at least one; several classes of a single choice share the vote
    final: bool = False  # an expert's word: it alone is the clip's label, and nobody's reliability changes it
