"""The small records of a project: a file each, validated when read, with a schema version and its own repair."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aftertone.errors import StoreError
from aftertone.labelstudio.tasks import TaskCache
from aftertone.store.clock import Moment, elapsed
from aftertone_model.data.channels import Channel

LONGEST = 1e6  # seconds of one clip; MAX_CLIP_SECONDS is far below
Count = Annotated[int, Field(ge=0, le=10**15)]  # of parts of a stage; a greater one is damage
FIRST_RETRY, LAST_RETRY = 600.0, 86_400.0  # seconds after which audio that couldn't be fetched is asked for again

TODAY = b'{\n "schema_version": 1,'
"""What a record's file begins with."""


class Part(BaseModel):
    """What records are made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Record(Part):
    """What one JSON file holds."""

    FILE: ClassVar[str]
    OLD_FILE: ClassVar[str] = ""  # name before schema_version 1
    PRIVATE: ClassVar[bool] = False  # only the owner may read it
    MADE_AGAIN: ClassVar[bool] = True  # whether the loop can do without a damaged one
    AFTER_DAMAGE: ClassVar[str]  # what happens now, or what a person must do; a sentence

    schema_version: Literal[1] = 1

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        """Today's form of what versions before schema_version 1 wrote."""
        return raw

    @classmethod
    def of_file(cls, content: bytes) -> Self:
        """The record that a file holds; raises as `of_json`."""
        if content.startswith(TODAY):
            return cls.model_validate_json(content)  # of 100,000 tasks twice as fast, in half the memory
        return cls.of_json(json.loads(content))

    @classmethod
    def of_json(cls, raw: Any) -> Self:
        """The record in a file's JSON.

        Raises:
            ValueError: it is none; or TypeError, KeyError or AttributeError, where it isn't even an older form.
            StoreError: a newer Aftertone wrote it.
        """
        version = raw.get("schema_version", 0) if isinstance(raw, dict) else 0
        if isinstance(version, int) and version > 1:
            raise StoreError(
                f"{cls.FILE} has schema version {version}: a newer Aftertone wrote it. Run that version, or restore "
                "MODEL_DIR as it was before."
            )
        return cls.model_validate(raw if version else cls.upgrade(raw))


class Connection(Record):
    """How Label Studio connects the project, as it says itself."""

    FILE = "connection.json"
    PRIVATE = True  # the address may hold a password
    MADE_AGAIN = False
    AFTER_DAMAGE = (
        "Label Studio was asked for it again, but no model is connected to the project there any more: connect it "
        "(Settings > Model), or restore the file from a backup. Until then nothing is done for the project."
    )

    project: int
    label_config: str
    extra_params: Mapping[str, Any] = {}  # a project's options
    url: str = ""  # of this backend, as Label Studio reaches it; '' where an earlier version wrote this
    others: tuple[Any, ...] = ()  # extra params, as sent, of the project's further models, which count for nothing


class Asking(Part):
    """A project that asked to connect."""

    at: Moment  # of the last time that it asked, or was asked for
    refused: bool = False  # Label Studio doesn't know it
    problem: str = ""  # why Label Studio couldn't be asked, for people
    times: int = 0  # failures in a row


class Unconfirmed(Record):
    """Projects that asked to connect and that Label Studio hasn't confirmed yet."""

    FILE = "unconfirmed.json"
    AFTER_DAMAGE = "Projects that wait for being confirmed ask again when their model is saved in Label Studio."

    projects: dict[int, Asking] = {}


class Refusal(Part):
    """Why Label Studio was told that a project can't be used."""

    at: Moment  # of the last time
    reason: str  # a sentence, for people
    label_config: str = ""  # digest of the label config that it was refused with; '' where there was none
    known: bool = False  # whether Label Studio had confirmed the project before


class Refusals(Record):
    """Projects that were refused."""

    FILE = "refused.json"
    AFTER_DAMAGE = "Projects that are refused are listed again when they are next set up."

    projects: dict[int, Refusal] = {}


class LearnedQuestion(Record):
    """What the project asks its annotators, as far as it is learned, as of the last look at it."""

    FILE = "question.json"
    AFTER_DAMAGE = "The next look at the project writes it again."

    name: str = ""  # of the tag in the label config
    tag: str = ""  # such as Choices
    kind: str = ""  # of label
    classes: tuple[str, ...] = ()
    of_regions: bool = False  # whether it is asked about regions of the audio
    notes: tuple[str, ...] = ()  # what people should know about the choice of this question


class HeldOut(Record):
    """For each clip that was ever assigned: whether it is held out for testing. Only grows."""

    FILE, OLD_FILE = "test-split.json", "exam.json"
    AFTER_DAMAGE = (
        "It is made again: clips that rounds were trained or tested on keep their side, others are drawn anew."
    )

    clips: dict[str, bool] = {}

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        if not raw:
            raise ValueError("a split is never empty")
        return {"clips": raw}


class Tasks(Record):
    """Tasks and answers as last read."""

    FILE = "tasks.json"
    PRIVATE = True  # addresses of audio may be signed
    AFTER_DAMAGE = "All tasks are read from Label Studio again."

    cache: TaskCache = TaskCache()

    @field_validator("cache")
    @classmethod
    def _dated(cls, cache: TaskCache) -> TaskCache:
        for task in cache.tasks:
            if datetime.fromisoformat(task.updated_at).year < 1971:
                raise ValueError("the next read asks for what changed since")
        return cache

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        for task in raw["tasks"]:
            task["answer"]["skipped"] = task["answer"].pop("passed")
        return {"cache": raw}


class Source(Part):
    """What became of one audio address."""

    clip: str | None = None  # id of the decoded clip; None when there is none
    seconds: float = Field(default=0.0, ge=0, le=LONGEST, allow_inf_nan=False)  # duration of the clip
    error: str = ""  # why there is no clip, for people
    retry: bool = False  # whether another attempt may succeed
    at: Moment = 0.0  # of the last attempt
    tries: int = 0  # attempts in a row that failed; 0 also where an earlier version didn't count them
    channel: Channel = "mix"  # what was heard of it
    channels: int = Field(default=0, ge=0)  # of the file; 0 where there is no clip, or an earlier version didn't count
    differ: bool = False  # whether its channels say different things

    @property
    def pause(self) -> float:
        """Seconds after the last attempt before which there is no other: 10 min after the first, doubling to a day."""
        return min(FIRST_RETRY * 2.0 ** min(max(self.tries - 1, 0), 10), LAST_RETRY)


class Sources(Record):
    """What became of each audio address."""

    FILE = "sources.json"
    PRIVATE = True
    AFTER_DAMAGE = "The project's audio is fetched again; clips that are the same as before keep all that is known."

    sources: dict[str, Source] = {}

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        return {"sources": raw}


class Quiet(Record):
    """Since when the project's set of tasks has stayed as it is."""

    FILE = "quiet.json"
    AFTER_DAMAGE = "The import is watched anew until it has settled."

    shape: tuple[int, int]  # number of tasks and newest id, which tell one set of tasks from another
    since: Moment


class Doing(Record):
    """What is being done, and how far it is."""

    FILE = "progress.json"
    AFTER_DAMAGE = "The next report replaces it."

    stage: str
    done: Count
    total: Count  # 0 where there is nothing to count
    at: Moment
    began: Moment = 0.0  # of the stage's first report; 0 where an earlier version wrote none
    first: Count = 0  # how much was done at that moment

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take if it goes on like this; None where nobody can tell."""
        passed, done = self.at - self.began, self.done - self.first
        return (self.total - self.done) * passed / done if self.began and passed > 0 and done > 0 else None


Severity = Literal["problem", "warning", "note"]
"""A problem keeps the project from going on until a person does something; a note needs nobody."""


class Finding(Part):
    """Something about a project or a machine that a person should know, and what to do."""

    key: str  # of the check that found it
    severity: Severity
    what: str
    why: str = ""  # it matters
    cure: str = ""  # '' where `what` says it

    @property
    def sentence(self) -> str:
        """What is wrong and what to do."""
        return f"{self.what} {self.cure}".rstrip()


class Warnings(Record):
    """What a person should know or do, as of the last look at the project."""

    FILE, OLD_FILE = "warnings.json", "notes.json"
    AFTER_DAMAGE = "The next look at the project finds its warnings again."

    findings: tuple[Finding, ...] = ()  # the most pressing first

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each."""
        return tuple(finding.sentence for finding in self.findings)

    @model_validator(mode="before")
    @classmethod
    def _of_sentences(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "warnings" not in raw:
            return raw
        found = [{"key": "earlier", "severity": "warning", "what": said} for said in raw["warnings"]]
        return {**{name: value for name, value in raw.items() if name != "warnings"}, "findings": found}

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        return {"warnings": raw}


class Problem(Record):
    """Why a project doesn't move on."""

    FILE = "problem.json"
    AFTER_DAMAGE = "If what it told of still fails, the next attempt says so again."

    message: str  # what happened and what to do
    step: str  # name of the step that failed
    times: int = Field(ge=1)  # failures in a row
    at: Moment  # of the last one

    def pause(self, now: float) -> float:
        """Seconds for which the step isn't tried yet: from a failure on a minute, doubling with each to 1 h."""
        return max(0.0, min(60.0 * 2 ** (min(self.times, 8) - 1), 3600.0) - elapsed(self.at, now))


class InProgress(Record):
    """How many clips wait for further votes."""

    FILE = "in-progress.json"
    AFTER_DAMAGE = "They are counted again at the next look."

    clips: int = 0
    needed: int = 1  # votes with which a clip is complete


class StopSet(Record):
    """Clips on which rounds are compared for the stop advice; the same for the life of the project."""

    FILE = "stop-set.json"
    AFTER_DAMAGE = "It is drawn again; the stop advice may need three more rounds."

    clips: tuple[str, ...] = ()

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        return {"clips": raw}


class Damage(Record):
    """Damaged files that were set aside, and what happened then."""

    FILE = "damage.json"
    AFTER_DAMAGE = "Files that were set aside before are no longer listed."

    files: dict[str, str] = {}  # path inside the project's folder -> a sentence


class DiskUse(Record):
    """How much disk the project's files take, as housekeeping last counted."""

    FILE = "disk.json"
    AFTER_DAMAGE = "It is counted again."

    pool: int  # bytes; decoded clips
    features: int  # what backbones make of them
    rounds: int
    adapted: int
    other: int
    at: Moment
    current: int | None  # round that annotators were served then
