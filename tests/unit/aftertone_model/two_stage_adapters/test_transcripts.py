"""What CTC learns of a transcript, and of which clips."""

import torch

from aftertone_model.data.clips import Clip
from aftertone_model.two_stage_adapters.transcripts import Vocabulary, normalised, targets_of


def clip(transcript: str = "") -> Clip:
    return Clip(id="a", seconds=1.0, attributes={"transcript": transcript} if transcript else {})


def test_transcripts_are_folded_composed_and_without_punctuation() -> None:
    assert normalised("  Das SCHWARZE Stück,\nPapier.") == "das schwarze stück papier"
    assert normalised("Stu\u0308ck") == normalised("Stück")  # ü of two code points and of one
    assert normalised("Straße") == "strasse"
    assert normalised("रुको! 멈춰") == "रुको 멈춰"
    assert normalised("...") == ""


def test_the_vocabulary_is_what_occurs_and_0_is_no_character() -> None:
    vocabulary = Vocabulary.of([clip("Ab a"), clip(), clip("ć")])
    assert vocabulary.characters == " abć"
    assert len(vocabulary) == 5
    assert vocabulary.symbols("ba ć!").tolist() == [3, 2, 1, 4]
    assert vocabulary.symbols("xyz").tolist() == []


def test_clips_without_a_fitting_transcript_are_masked_and_counted() -> None:
    clips = [clip("abba"), clip("abba"), clip(), clip("ab"), clip("?")]
    targets = targets_of(clips, [5, 4, 9, 30, 9], Vocabulary("ab"), longest=20)
    assert targets.symbols[0] is not None
    assert torch.equal(targets.symbols[0], torch.tensor([1, 2, 2, 1]))  # four characters, and a blank between two
    assert targets.symbols[1:] == (None,) * 4
    assert (targets.missing, targets.crowded, targets.cropped) == (2, 1, 1)
