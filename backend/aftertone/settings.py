"""Every setting of a running backend: environment variables, with a project's extra parameters winning over them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from aftertone.addresses import allows, host_of
from aftertone.attribute_names import parse_attribute_fields
from aftertone.errors import SettingsError
from aftertone.setting_names import MAY_DIFFER, OLD_NAMES, PROJECT_OPTIONS, SECRETS
from aftertone.setting_values import Address, AttributeFields, Device, Hosts, Listener, Share, Source, Tapt, Words
from aftertone.source_names import FOLDER, parse_source
from aftertone_model.data.channels import Channel

MOST = 1_000_000_000  # clips that a size may ask for; more than any project has


class Settings(BaseSettings):
    """What an operator can set. Names are environment variables in upper case."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="", extra="ignore", populate_by_name=True)

    # Label Studio
    label_studio_url: Address = Field(
        "http://localhost:8080",
        validation_alias=AliasChoices("label_studio_url", "label_studio_host"),  # the second is what older backends set
        description="Where Label Studio answers, as this machine sees it.",
    )
    label_studio_api_key: SecretStr = Field(
        SecretStr(""), description="A personal access token or a legacy token of a member who may edit the project."
    )
    audio_hosts: Hosts = Field(
        (),
        description="Hosts beside Label Studio's own that task audio may be fetched from, comma-separated; "
        "`*.example.org` is understood.",
    )
    label_studio_timeout: float = Field(120.0, gt=0, description="Seconds that one call to Label Studio may take.")
    audio_timeout: float = Field(
        30.0,
        gt=0,
        description="Seconds without a byte after which an audio download is given up. After so many seconds it must "
        "also have reached 10 kB/s on average, and it may last 20 times as long at most.",
    )
    max_audio_megabytes: float = Field(200.0, gt=0, description="Largest audio file that is downloaded, in MB.")
    max_clip_seconds: float = Field(60.0, gt=0, description="Longest clip that is used, in seconds.")

    # this backend
    model_dir: Path = Field(Path("aftertone-data"), description="Folder that holds everything Aftertone keeps.")
    redis_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description="Redis for the job queue, such as `redis://:password@host:6379/0`; empty: an embedded one in "
        "MODEL_DIR, for one machine.",
    )
    host: Listener = Field(
        "127.0.0.1",
        description="Address that `aftertone serve` listens on: this machine alone, or `0.0.0.0` for every network "
        "that it is in; then set BASIC_AUTH_USER too.",
    )
    port: int = Field(9090, ge=0, le=65535, description="Port that `aftertone serve` listens on.")
    basic_auth_user: str = Field("", description="User name that callers must give; empty: none asked.")
    basic_auth_pass: SecretStr = Field(SecretStr(""), description="Password that goes with BASIC_AUTH_USER.")
    adapt_again_share: float = Field(
        0.5,
        gt=0,
        description="Growth of the pool since TAPT from which on `aftertone status` suggests `aftertone adapt`.",
    )
    settle_seconds: float = Field(
        20.0, ge=0, description="Seconds without new tasks after which an import counts as done."
    )
    reconcile_seconds: float = Field(
        60.0, gt=0, description="Seconds after which a project is looked at without any webhook."
    )
    notify_url: SecretStr = Field(
        SecretStr(""),
        description="Address that is told by a POST when a round is published, when there is a new problem, and when "
        "there are enough labels: JSON with `project`, `event` and `sentence`. Empty: nobody is told.",
    )
    notify_secret: SecretStr = Field(
        SecretStr(""), description="Sent along with each notification as the header `X-Aftertone-Secret`."
    )
    notify_hosts: Hosts = Field(
        (),
        description="Hosts that a project's own `notify_url` may name beside that of NOTIFY_URL, comma-separated, "
        "private ones too; `*.example.org` is understood.",
    )
    log_format: Literal["text", "json"] = Field("text", description="`text` for people, `json` for log collectors.")

    # the method
    backbone: str = Field(
        "aftertone-mini",
        description="Speech model to start from, a wav2vec 2.0, XLS-R, HuBERT, WavLM or data2vec-audio: "
        "`aftertone-mini`, which is bundled and made for CPUs; a hub name such as `facebook/wav2vec2-base`, for a GPU; "
        "or a local folder.",
    )
    device: Device = Field("auto", description="`cpu`, `cuda`, or `auto`: the GPU when there is one.")
    preset: Literal["practical", "paper"] = Field(
        "practical", description="Hyper-parameters: `practical`, or `paper` to the letter."
    )
    method: Literal["after", "two-stage-adapters", "supervised-contrastive"] = Field(
        "after",
        description="How a round learns (docs/training.md): `after`; `two-stage-adapters`, which needs transcripts and "
        "genders or styles; or `supervised-contrastive`, which needs SOURCE.",
    )
    source: Source = Field(
        "",
        description="Corpora with labels that the method `supervised-contrastive` learns from first, comma-separated: "
        "a manifest in MODEL_DIR/sources, such as `manifest.csv`, or elsewhere, which extra params may not name; or an "
        "earlier project, such as `project:3`. A manifest has the columns path, emotion, corpus and speaker.",
    )
    tapt: Tapt = Field(
        "",
        description="How to adapt the backbone: `standard`, `brief`, `from-scratch`, or JSON of what differs from the "
        "preset's, such as `{\"mask_ratio\": 0.5}` (`PretrainingConfig`); empty: the preset's. It counts when the "
        "backbone is adapted, or adapted again.",
    )
    strategy: str = Field("", description="Query strategy, see `aftertone strategies`; empty: the preset's.")
    batch_size: int = Field(
        0, ge=0, le=MOST, description="Labels that a round waits for (k); 0: 5 % of the pool, at least 20."
    )
    seed_size: int = Field(
        0, ge=0, le=MOST, description="Clips in the seed set; 0: 1 % of the pool, at least 5 per class."
    )
    test_share: Share = Field(
        0.1,
        ge=0,
        le=0.5,
        validation_alias=AliasChoices("test_share", "exam_share"),
        description="Share of the annotation queue that is held out for testing and never trained on. The older name "
        "`EXAM_SHARE` is read too.",
    )
    queue_factor: int = Field(
        4, ge=1, le=1000, description="How many times k a round publishes, so that nobody runs out while it trains."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed of everything that draws.")
    prelabel: bool = Field(
        False, description="Show the model's label to annotators; off, so that it doesn't anchor them."
    )
    question: str = Field(
        "",
        description="Name of the tag of the label config that is learned; empty: the only one that can be, else the "
        "only one whose name or choices look like emotion.",
    )
    classes: Words = Field(
        (),
        description="Classes of a question whose choices each task brings along (`value` of a Choices or Labels tag), "
        "comma-separated, or in extra params a list. Answers that are none of these count for nothing.",
    )
    serve_predictions: bool = Field(
        False,
        description="Answer *Retrieve Predictions* for tasks without a label too. Off, because Label Studio asks for "
        "a prediction of any task that is opened, and fills in the form with it. PRELABEL switches it on.",
    )
    count_untouched: bool = Field(
        False,
        description="Let predictions count as labels that were submitted as they were shown, or that *Create "
        "Annotations From Predictions* made into annotations. Off: they are neither trained nor tested on, unless "
        "somebody stars them.",
    )
    votes_needed: int = Field(
        0,
        ge=0,
        le=1000,
        description="Votes with which a clip is complete; 0: as many as the project asks for per task. Until then it "
        "is neither trained nor tested on, unless it is starred or its annotators have moved on.",
    )
    moved_on_votes: int = Field(
        50,
        ge=1,
        le=MOST,
        description="Later votes of each of a clip's annotators after which no further vote on it is waited for.",
    )
    moved_on_hours: float = Field(
        24.0, ge=0, description="Hours without a change after which no further vote on a clip is waited for."
    )
    relabel_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the queue that are clips of the relabel list which Label Studio may still serve, since "
        "they have fewer annotations than the project asks for.",
    )
    random_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of each batch that chance draws, spread among the query strategy's own clips, so that "
        "annotators don't see hard ones only; empty: the preset's. Clips of the test set come on top.",
    )
    most_per_recording: int = Field(
        0, ge=0, le=MOST, description="Clips of one recording in a batch, at most; 0: any number."
    )
    most_per_speaker: int = Field(
        0, ge=0, le=MOST, description="Clips of one speaker in a batch, at most; 0: any number."
    )
    channel: Channel = Field(
        "mix",
        description="What is heard of a file with several channels: their mean (`mix`), the first (`left`) or the "
        "second (`right`), such as one speaker of a telephone call. After a change these files are fetched again.",
    )
    audio_field: str = Field("", description="Task field of the audio; empty: what the label config says.")
    speaker_field: str = Field("speaker", description="Task field that names the speaker, where there is one.")
    recording_field: str = Field(
        "recording", description="Task field that names the recording a clip was cut from, where there is one."
    )
    attributes: AttributeFields = Field(
        "",
        description="Task fields that tell what else is known of a clip, where their names don't: "
        "`gender=sex, transcript=words`. Attributes are `gender`, `style`, `corpus`, `language`, `transcript` and "
        "`quality`; fields of these names are read anyway, and so are tags of the label config that ask for them.",
    )

    @field_validator("notify_url")
    @classmethod
    def _notified(cls, value: SecretStr) -> SecretStr:
        if (url := value.get_secret_value()) and not host_of(url):
            raise ValueError("must be an address that starts with http:// or https:// and names a host")
        return value

    @property
    def attribute_fields(self) -> dict[str, str]:
        """Task fields by the attribute that they tell, where their names don't."""
        return parse_attribute_fields(self.attributes)

    @model_validator(mode="after")
    def _whole_password(self) -> Self:
        if bool(self.basic_auth_user) != bool(self.basic_auth_pass.get_secret_value()):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS go together; set both or neither")
        return self

    def shared(self) -> tuple[dict[str, str], dict[str, str]]:
        """What all processes of one MODEL_DIR need alike, by name in upper case: plain values, and secrets."""
        plain: dict[str, str] = {}
        secret: dict[str, str] = {}
        for name in Settings.model_fields:
            value = getattr(self, name)
            if name in MAY_DIFFER:
                continue
            if isinstance(value, SecretStr):
                secret[name.upper()] = value.get_secret_value()
            else:
                plain[name.upper()] = ", ".join(value) if isinstance(value, tuple) else str(value)
        return plain, secret

    def for_project(self, extra: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> "Settings":
        """These settings with a project's options on top.

        Args:
            extra: extra parameters of its connection in Label Studio.
            options: by `aftertone set`, which win over them.

        Raises:
            SettingsError: an option isn't one of a project, or its value doesn't fit.
        """
        found = self._with(extra, where := "Extra params of the connection")
        if "source" in extra and (outside := parse_source(found.source).outside):
            here = self.model_dir / FOLDER
            raise SettingsError(f"{where}: SOURCE={outside[0]!r} isn't in {here}. `aftertone set` may name others.")
        return found._with(options or {}, "`aftertone set`")

    def _with(self, options: Mapping[str, Any], where: str) -> "Settings":
        options = {OLD_NAMES.get(name, name): value for name, value in options.items()}
        unknown = sorted(name if name.isidentifier() else repr(name) for name in set(options) - set(PROJECT_OPTIONS))
        if unknown:
            raise SettingsError(
                f"{where}: {', '.join(unknown)} can't be set there. Known: {', '.join(PROJECT_OPTIONS)}."
            )
        if not options:
            return self
        found = _validated(lambda: Settings.model_validate({**self.model_dump(), **options}), where)
        host, own = (host_of(one.notify_url.get_secret_value()) for one in (found, self))
        if host and host != own and not allows(self.notify_hosts, host):
            raise SettingsError(f"{where}: nobody at {host} is notified. Add the host to NOTIFY_HOSTS to allow it.")
        return found


def _validated(make: Any, where: str) -> Settings:
    try:
        return make()
    except ValidationError as error:
        wrong = "; ".join(_wrong(e) for e in error.errors(include_url=False))
        raise SettingsError(f"{where}: {wrong}.") from None


def _wrong(error: Any) -> str:
    said = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return said
    name = str(error["loc"][0])
    shown = "" if name.lower() in SECRETS else f"={error['input']!r}"
    return f"{name.upper()}{shown}: {said}"


def load_settings() -> Settings:
    """The settings of this process, from its environment.

    Raises:
        SettingsError: a variable's value doesn't fit; the message names it.
    """
    return _validated(Settings, "Environment")
