"""The backend's errors. Each message names what happened and the setting to change."""

from aftertone_model.errors import AftertoneError, DamagedFileError


class SettingsError(AftertoneError):
    """A setting is missing or contradicts another."""


class LabelStudioError(AftertoneError):
    """Label Studio can't be reached, refuses the token, or answered something unexpected. Trying later may help."""


class TokenError(LabelStudioError):
    """Label Studio doesn't take LABEL_STUDIO_API_KEY, or there is none."""


class TasksVanishedError(LabelStudioError):
    """Tasks were deleted while a round was being published; the next snapshot shows which."""


class UnknownProjectError(AftertoneError):
    """A project asks to connect that Label Studio doesn't know."""


class TooManyProjectsError(AftertoneError):
    """Too many projects ask to connect at once."""


class LabelConfigError(AftertoneError):
    """The project's label config has no question about audio that can be learned."""


class StoreError(AftertoneError):
    """What lies in MODEL_DIR is not what Aftertone wrote there, or isn't there yet."""


class LeaseLostError(StoreError):
    """Another worker has taken the project over; whoever gets this writes nothing more to it."""


class NotKeptError(StoreError):
    """Nothing is kept of a project."""


class StepStoppedError(AftertoneError):
    """Somebody paused the project, or cancelled what is being done for it."""


class DamagedRecordError(DamagedFileError, StoreError):
    """A file in MODEL_DIR is damaged. Where it can't be made again, the message says what to restore or remove."""


class FetchError(AftertoneError):
    """A task's audio can't be fetched for now; another attempt may succeed."""


class FetchTimeoutError(FetchError):
    """The host of a task's audio takes too long."""


class AddressError(AftertoneError):
    """A task's audio lies where the operator doesn't allow to fetch from; the message names the setting."""
