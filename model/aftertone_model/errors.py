"""The errors a user can meet. Every message says what happened and what to do about it."""

from pathlib import Path


class AftertoneError(Exception):
    """Root of all errors that Aftertone raises on purpose; anything else is a bug."""


class AudioError(AftertoneError):
    """A clip can't be used. The message is the reason that `aftertone status` lists for its task."""


class DecoderLostError(AudioError):
    """The process that decoded a clip ended or hung, perhaps for no fault of the clip; another try may help."""


class DamagedFileError(AftertoneError):
    """A file isn't what Aftertone wrote there: cut short, emptied or garbled.

    Where it can be made again, it was set aside as `<name>.corrupt` before, so that another try makes it anew.
    """

    def __init__(self, path: Path, remedy: str, *, set_aside: bool = True, clips: tuple[str, ...] = ()) -> None:
        """
        Args:
            path: the damaged file or folder.
            remedy: what happens now, or what a person must do; a sentence.
            set_aside: whether it was set aside, to be made again.
            clips: ids of the clips whose audio is lost and must be fetched again.
        """
        aside = f" and was set aside as {path.name}.corrupt" if set_aside else ""
        super().__init__(f"{path} is damaged{aside}. {remedy}")
        self.path, self.remedy, self.set_aside, self.clips = path, remedy, set_aside, clips


class ExportError(AftertoneError):
    """A model can't be exported in the format that was asked for; the message says what to install or to choose."""


class DeviceError(AftertoneError):
    """The device that is to compute isn't there."""


class BackboneError(AftertoneError):
    """A speech model can't be loaded. The message names the setting to change or the folder to provide."""


class OutOfMemoryError(AftertoneError):
    """Not even a single clip fits into memory. The message says what to change."""


class TeacherError(AftertoneError):
    """A teacher for pre-training can't be loaded. The message names the file to provide."""


class SimulationError(AftertoneError):
    """A simulation is asked for what can't be simulated. The message says what to change."""


class StrategyError(AftertoneError):
    """There is no such strategy, or it can't rank this kind of label. The message names strategies that can."""


class LabelError(AftertoneError):
    """Labels that can't be trained on. The message names the clip and what to change."""


class CorpusError(AftertoneError):
    """A labelled corpus lacks what a method needs of it. The message says what, and how to get it."""


class MethodError(AftertoneError):
    """A method can't learn what a project asks, or lacks what it learns from. The message says what to change."""


class MissingAttributeError(AftertoneError):
    """A method learns something of the clips that they don't have. The message says what, and how to get it or do
    without."""
