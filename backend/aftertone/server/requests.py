"""What Label Studio sends to each route, as records; `openapi.py` describes the same to others."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from aftertone.server.errors import MalformedRequestError

LARGEST_ID = 2**63 - 1  # Label Studio's database has no larger one
LARGEST_LABEL_CONFIG = 250_000  # characters
MOST_TASKS = 50_000  # in one call; Label Studio sends all that its user selected
NO_PROJECT = (
    "it names no project. Webhooks need `send payload` switched on (Label Studio: Settings > Webhooks), and a "
    f"project's number lies between 1 and {LARGEST_ID}"
)


def _number(raw: Any) -> int:
    if isinstance(raw, dict):
        raw = raw.get("id")
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,19}(\.[0-9]{1,30})?", raw):
        raw = int(raw.partition(".")[0])
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= LARGEST_ID:
        raise ValueError(NO_PROJECT)
    return raw


_ID_SCHEMA = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
ProjectId = Annotated[
    int,
    BeforeValidator(_number),
    WithJsonSchema(
        {
            "description": "A project's number: 5, `5.1795222710` (with the moment it was created), or its row.",
            "anyOf": [
                _ID_SCHEMA,
                {"type": "string", "pattern": r"^[1-9][0-9]{0,17}(\.[0-9]{1,30})?$"},
                {"type": "object", "properties": {"id": _ID_SCHEMA}, "required": ["id"]},
            ],
        }
    ),
]


PathProject = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SetupRequest(_Request):
    """Label Studio connects a project, or looks whether its model still answers."""

    project: ProjectId
    label_config: str = Field("", alias="schema", max_length=LARGEST_LABEL_CONFIG, description="Label config, XML.")
    extra_params: dict[str, Any] | list[Any] | str | None = Field(
        None, description="The project's options: an object, or JSON as text; empty for none."
    )


class PredictTask(_Request):
    """A task to answer; of all that it carries only this is used."""

    id: Annotated[int, Field(strict=True)]
    is_labeled: bool = Field(False, description="Whether it has all annotations that the project asks for.")


class PredictRequest(_Request):
    """Label Studio asks for predictions."""

    project: ProjectId
    label_config: str = Field("", max_length=LARGEST_LABEL_CONFIG, description="Label config, XML.")
    tasks: list[PredictTask] | None = Field(
        None, max_length=MOST_TASKS, description="Tasks to answer; of each only its `id` and `is_labeled` are used."
    )


class WebhookRequest(_Request):
    """Something happened in a project; what exactly is read from Label Studio later."""

    project: ProjectId
    action: str = Field("", max_length=100, description="Such as ANNOTATION_CREATED or START_TRAINING.")


class SteerRequest(_Request):
    """Steer a project: an empty object."""


class RollbackRequest(_Request):
    """Let an earlier round count as the newest."""

    round: Annotated[int, Field(strict=True, ge=0, le=LARGEST_ID, description="Its number.")]


class SetRequest(_Request):
    """Set options of a project, which win over its extra params."""

    options: dict[str, Any] = Field(description="Name to value; null takes an option back.", max_length=100)


class ForgetRequest(_Request):
    """Remove all that is kept of a project."""

    yes: Annotated[bool, Field(strict=True, description="Really; otherwise the answer says what would go.")] = False
    force: Annotated[bool, Field(strict=True, description="Also while it is connected in Label Studio.")] = False


def project_id(raw: Any) -> int:
    """The project's number from what Label Studio sends: 5, "5", "5.1795222710" or the project's row.

    Raises:
        MalformedRequestError: there is none.
    """
    try:
        return TypeAdapter(ProjectId).validate_python(raw)
    except ValidationError as error:
        raise MalformedRequestError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """What doesn't fit, for people, without what was sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, e['loc']))[:100] or 'the body'}: {e['msg'][:300]}" for e in found[:3]]
    return f"The request doesn't fit: {'; '.join(said)}."
