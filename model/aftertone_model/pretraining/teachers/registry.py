"""Teachers by what `aftertone pretrain --teacher` is given: a file of weights, or the name of a computation."""

from collections.abc import Sequence
from pathlib import Path

from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.byol_s import load_byol_s
from aftertone_model.pretraining.teachers.prosody import Prosody
from aftertone_model.pretraining.teachers.smart_turn import SmartTurn
from aftertone_model.pretraining.teachers.teacher import Teacher


def load_teachers(sources: Sequence[str]) -> list[Teacher]:
    """Each teacher in turn: BYOL-S from a `.pth`, Smart Turn from an `.onnx`, or "prosody".

    Raises:
        TeacherError: one can't be read or is of no known kind, or there are two of a kind.
    """
    found: list[Teacher] = []
    for source in sources:
        if source == Prosody.name:
            found.append(Prosody())
        elif source.endswith(".onnx"):
            found.append(SmartTurn(Path(source)))
        elif source.endswith(".pth"):
            found.append(load_byol_s(Path(source)))
        else:
            raise TeacherError(
                f"{source} is no teacher. Name weights of BYOL-S (.pth) or Smart Turn (.onnx), or prosody."
            )
    names = [teacher.name for teacher in found]
    if len(set(names)) < len(names):
        raise TeacherError("Two teachers are of one kind; name each kind once.")
    return found
