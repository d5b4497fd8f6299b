"""A project whose tasks hold the files of a corpus, played to its first trained round."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

from aftertone.settings import Settings
from aftertone_model.backbones.mini import MINI
from aftertone_model.data.manifest import Row
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect


class Corpus(FakeLabelStudio):
    """A Label Studio whose tasks hold the files of a corpus."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        names = sorted({str(row.emotion) for row in rows})
        choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in names)
        question = f'<Choices name="emotion" toName="audio" choice="single">{choices}</Choices>'
        super().__init__(label_config=f'<View><Audio name="audio" value="$audio"/>{question}</View>')
        for number, row in enumerate(rows):
            self.add_task(audio=f"/data/upload/clip-{number}.wav", speaker=str(row.speaker))

    def audio(self, address: str) -> bytes:
        return self.row(address).path.read_bytes()

    def row(self, address: str) -> Row:
        """The row of the corpus that an audio address stands for."""
        return self.rows[int("".join(filter(str.isdigit, address)))]


def play(rows: list[Row], folder: Path, *, every: int = 2) -> MemoryLoop:
    """A project with one round that learned from labels.

    Args:
        rows: with emotion and speaker.
        folder: where its MODEL_DIR is made.
        every: a label for one of so many clips, of which a quarter tests.
    """
    studio = Corpus(rows)
    settings = Settings.model_validate({"model_dir": folder / "model"})
    loop = connect(studio, settings, Path(MINI), {"tapt": {"max_steps": 4}})
    answered = range(1, len(rows), every)
    loop.settings = loop.settings.model_copy(update={"batch_size": len(answered)})
    loop.advance()
    for task in answered:
        studio.annotate(task, str(rows[task - 1].emotion))
    loop.advance()
    assert loop.problem == "", loop.problem
    assert loop.last.kind == "trained"
    return loop
