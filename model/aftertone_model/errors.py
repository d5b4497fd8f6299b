"""The errors a user can meet. Every message says what happened and what to do about it."""


class AftertoneError(Exception):
    """Root of all errors that Aftertone raises on purpose; anything else is a bug."""


class AudioError(AftertoneError):
    """A clip can't be used. The message is the reason that `aftertone status` lists for its task."""


class BackboneError(AftertoneError):
    """A speech model can't be loaded. The message names the setting to change or the folder to provide."""


class TeacherError(AftertoneError):
    """A teacher for pre-training can't be loaded. The message names the file to provide."""


class SimulationError(AftertoneError):
    """A simulation is asked for what can't be simulated. The message says what to change."""


class LabelError(AftertoneError):
    """Labels that can't be trained on. The message names the clip and what to change."""
