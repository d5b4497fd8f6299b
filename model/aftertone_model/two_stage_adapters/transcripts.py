"""Transcripts as CTC's targets: which characters there are, and which clips have a transcript to learn from."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aftertone_model.data.clips import Clip

TRANSCRIPT = "transcript"  # key of `Clip.attributes`


def normalised(transcript: str) -> str:
    """What is spelled out of a transcript: case folded, NFC, without punctuation, one space between words.

    The paper doesn't say how it writes IEMOCAP's transcripts. Letters of all scripts stay as they are.
    """
    folded = unicodedata.normalize("NFC", transcript.casefold())
    spoken = "".join(" " if unicodedata.category(letter).startswith("P") else letter for letter in folded)
    return " ".join(spoken.split())


@dataclass(frozen=True)
class Vocabulary:
    """The characters that transcripts are made of; symbol 0 is CTC's blank, symbol i the i-th character."""

    characters: str  # each once, sorted

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "Vocabulary":
        """All that occur in the clips' transcripts, of whatever language."""
        spoken = "".join(normalised(clip.attributes.get(TRANSCRIPT, "")) for clip in clips)
        return cls("".join(sorted(set(spoken))))

    def __len__(self) -> int:
        """V, the blank included."""
        return len(self.characters) + 1

    def symbols(self, transcript: str) -> Tensor:
        """(U,) of a transcript; characters that aren't in the vocabulary are left out."""
        number = {character: symbol for symbol, character in enumerate(self.characters, start=1)}
        spoken = normalised(transcript)
        return torch.tensor([number[character] for character in spoken if character in number], dtype=torch.long)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What CTC learns of each training clip."""

    symbols: tuple[Tensor | None, ...]  # None: nothing
    missing: int  # clips without a transcript
    crowded: int  # clips that have too few frames for theirs
    cropped: int  # clips that are cut, so that theirs says too much


def targets_of(clips: Sequence[Clip], frames: Sequence[int], vocabulary: Vocabulary, longest: int) -> Targets:
    """Of clips with so many frames each, which training cuts to at most `longest`.

    CTC needs a frame for each character, and a blank between two that are alike.
    """
    found: list[Tensor | None] = []
    missing = crowded = cropped = 0
    for clip, there in zip(clips, frames, strict=True):
        symbols = vocabulary.symbols(clip.attributes.get(TRANSCRIPT, ""))
        needed = len(symbols) + int((symbols[1:] == symbols[:-1]).sum())
        fits = 0 < needed <= there <= longest
        found.append(symbols if fits else None)
        missing += needed == 0
        cropped += needed > 0 and there > longest
        crowded += there < needed and there <= longest
    return Targets(symbols=tuple(found), missing=missing, crowded=crowded, cropped=cropped)
