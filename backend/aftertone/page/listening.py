"""`python -m aftertone.page.listening PROJECT ROUND`: what a round's model makes of an audio file that was uploaded.

Standard input holds the body of a multipart form, behind its Content-Type as a header; standard output gets a `Heard`
as JSON. The file is decoded in a further process that can harm nothing, and its samples and features lie in a temporary
folder until this process ends.
"""

import sys
import tempfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import File, parse_form

from aftertone.faults import explain
from aftertone.options import known_settings
from aftertone.settings import Settings, load_settings
from aftertone.store.project import ProjectStore, Store
from aftertone_model.data.clips import Clip
from aftertone_model.data.decoders import Decoders
from aftertone_model.errors import AftertoneError

FIELD = "file"  # of the form


class Heard(BaseModel):
    """What became of the file."""

    error: str = ""  # why it can't be used, for people
    seconds: float = 0.0
    components: tuple[float, ...] = ()  # (K,) as `ProjectStore.embeddings` has them of the pool's clips
    predictions: tuple[float, ...] = ()  # (C,)


def main() -> int:
    """Listen to the file on standard input."""
    project, number = map(int, sys.argv[1:])
    try:
        settings = load_settings()
        store = Store(settings.model_dir).kept(project)
        found = listen(store, known_settings(settings, store), number, file_of(sys.stdin.buffer.read()))
    except Exception as error:
        if (said := explain(error)) is None:
            raise
        found = Heard(error=said)
    sys.stdout.write(found.model_dump_json())
    return 0


def file_of(form: bytes) -> bytes:
    """The content of the file in a multipart form.

    Args:
        form: `Content-Type: multipart/form-data; boundary=...`, an empty line, and the body.

    Raises:
        AftertoneError: there is none.
    """
    head, _, body = form.partition(b"\r\n\r\n")
    files: list[File] = []
    with suppress(FormParserError):  # what was read before the fault may hold the file
        parse_form({"Content-Type": head.partition(b":")[2].strip()}, BytesIO(body), None, files.append)
    for file in files:
        if file.field_name == FIELD.encode() and file.size:
            file.file_object.seek(0)
            return file.file_object.read()
    raise AftertoneError("The form holds no file, or an empty one. Choose an audio file first.")


def listen(store: ProjectStore, settings: Settings, number: int, content: bytes) -> Heard:
    """Decode a file and let a round's model judge it, as it judged the pool's clips; its speaker is unknown.

    Raises:
        AudioError: it can't be used.
        StoreError: the round's weights have gone.
    """
    with tempfile.TemporaryDirectory() as folder:
        samples = _decoded(content, settings, Path(folder))
        return _judged(store, settings, number, samples, Path(folder))


def _decoded(content: bytes, settings: Settings, folder: Path) -> NDArray[np.float32]:
    """Samples (S,) at 16 kHz; decoders take open files alone."""
    with (folder / "uploaded").open("wb+") as file, Decoders(1) as decoders:
        file.write(content)
        file.flush()
        return decoders.hear(file, max_seconds=settings.max_clip_seconds, channel=settings.channel).samples


def _judged(store: ProjectStore, settings: Settings, number: int, samples: NDArray[np.float32], folder: Path) -> Heard:
    from aftertone.pipeline.round_judge import round_judge  # takes seconds, which no unusable file should wait for
    from aftertone_model.data.pool import Pool

    pool, found = Pool(folder / "pool"), []

    def embedded(_: object, embeddings: NDArray[np.floating]) -> None:
        found.append(embeddings)

    clip: Clip = pool.add(samples)
    learner, model = round_judge(store, settings, store.round(number), pool)
    learner.embedded = embedded
    predictions = learner.predict(model, [clip])[0]
    projection = store.projection(number)
    if projection is None:
        raise AftertoneError("The newest round doesn't keep what an upload is compared by; the next one does.")
    return Heard(
        seconds=clip.seconds,
        components=tuple(projection.of(found[0])[0].tolist()),
        predictions=tuple(map(float, predictions)),
    )


if __name__ == "__main__":
    sys.exit(main())
