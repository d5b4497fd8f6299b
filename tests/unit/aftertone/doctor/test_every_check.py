"""Each check: what it looks for is broken by hand, and found within one cycle, mended or explained."""

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from redis import ConnectionError

from aftertone.doctor.registry import CHECKS, PROJECT_CHECKS, examine
from aftertone.doctor.servers import Silent
from aftertone.errors import FetchError, LabelStudioError, TokenError
from aftertone.examination import Examined, describe, examine_all
from aftertone.labelstudio.audio_hosts import NOT_ALLOWED
from aftertone.labelstudio.client import LabelStudio, RefusedError
from aftertone.labelstudio.publish import OURS
from aftertone.pipeline.jobs import JobQueue
from aftertone.pipeline.steps import LearningSteps
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection, Finding, HeldOut, Problem, Source, Sources, Warnings
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import SMALL, MemoryLoop, connect
from tests.unit.aftertone.records import ADAPTED

URL = "http://backend:9090"
BY_DOCTOR_ALONE = {"doubled-model"}  # the worker doesn't ask for the models at every look
MENDED = {"sampling", "model-version", "predictions", "ranking-ends"}  # by the worker, in the same cycle
MENDED_UNSEEN = {"doubled-split"}  # by the worker, before it looks


@dataclass(kw_only=True)
class Cycle:
    """A loop that can be broken, and what a cycle of the worker and the doctor find in it."""

    loop: MemoryLoop
    monkeypatch: pytest.MonkeyPatch
    environment: dict[str, str] = field(default_factory=dict)
    worker_runs: bool = True
    seen: list[Finding] = field(default_factory=list)  # by the worker
    others: ExitStack = field(default_factory=ExitStack)  # processes that run beside it

    @property
    def state(self) -> dict[str, Any]:
        return self.loop.label_studio.state

    def project(self, **values: Any) -> None:
        """Change settings of the project in Label Studio."""
        self.state["project"] |= values

    def fail(self, error: Exception, method: str) -> None:
        """Let Label Studio's answer to a method be an error."""

        def answer(*_: Any, **__: Any) -> Any:
            raise error

        self.monkeypatch.setattr(self.loop.label_studio, method, answer)

    def set(self, **values: Any) -> None:
        """Change settings of the backend."""
        self.loop.settings = self.loop.settings.model_copy(update=values)

    def sources(self, change: Callable[[int, Source], Source]) -> None:
        """Change what became of the tasks' audio, by the task's place."""
        rows = self.loop.store.get(Sources).sources
        changed = {url: change(place, row) for place, (url, row) in enumerate(rows.items())}
        self.loop.store.save(Sources(sources=changed))

    def adapted(self, **fields: Any) -> None:
        """Change what is known of the backbone's adaptation."""
        changed = replace(ADAPTED, **fields)
        self.monkeypatch.setattr("aftertone.store.project.ProjectStore.adaptation", lambda _: changed)

    def run(self) -> None:
        """One cycle of the worker."""
        self.loop.advance()

    def examine(self, *, mend: bool = False) -> list[Examined]:
        """What the doctor says."""
        settings, store = self.loop.settings, Store(self.loop.settings.model_dir)
        connect: Callable[[Settings], LabelStudio] = lambda _: self.loop.label_studio  # noqa: E731
        with self._worker(store):
            return list(examine_all(settings, store, 1, mend=mend, connect=connect, environment=self.environment))

    @contextmanager
    def _worker(self, store: Store) -> Iterator[None]:
        if not self.worker_runs:
            yield
            return
        with store.running.enter("worker", *self.loop.settings.shared()):
            yield


@pytest.fixture(scope="session")
def sound(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """MODEL_DIR and Label Studio of a project of 40 clips whose seed set is published; nothing is wrong with it."""
    folder = tmp_path_factory.mktemp("sound")
    plain = Settings(model_dir=folder, queue_factor=2, redis_url="redis://nobody")  # pyright: ignore[reportCallIssue]
    loop = connect(FakeLabelStudio(tasks=40), plain, nano, {})
    loop.label_studio.state["models"] = [{"url": URL, "extra_params": None, "title": "Aftertone"}]
    config = loop.label_studio.state["project"]["label_config"]
    loop.store.connect(Connection(project=1, label_config=config, url=URL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aftertone.store.project.ProjectStore.adaptation", lambda _: ADAPTED)
        loop.advance()
    loop.check_queue()
    return folder, loop.label_studio.state


@pytest.fixture
def cycle(
    sound: tuple[Path, dict[str, Any]], nano: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cycle]:
    """A copy of the sound project."""
    shutil.copytree(sound[0], settings.model_dir, dirs_exist_ok=True)
    update = {**SMALL, "backbone": str(nano), "queue_factor": 2, "redis_url": "redis://nobody"}
    loop = MemoryLoop(
        label_studio=FakeLabelStudio(copy.deepcopy(sound[1])), settings=settings.model_copy(update=update)
    )
    found = Cycle(loop=loop, monkeypatch=monkeypatch)
    monkeypatch.setattr(JobQueue, "trouble", lambda _: "")
    monkeypatch.setattr("aftertone.examination.silent_servers", lambda _: [])
    found.adapted(clips=40)

    def watched(look: Any) -> list[Finding]:
        findings = examine(look)
        found.seen += findings
        return findings

    monkeypatch.setattr("aftertone.pipeline.advance.examine", watched)
    with found.others:
        yield found


# -- how each is broken ------------------------------------------------------------------------------------------------


def token(cycle: Cycle) -> None:
    cycle.fail(TokenError("Label Studio refuses LABEL_STUDIO_API_KEY (401)."), "whoami")


def token_expiry(cycle: Cycle) -> None:
    cycle.state["token_expires"] = time.time() + 3 * 86_400


def label_studio_away(cycle: Cycle) -> None:
    cycle.fail(LabelStudioError("Label Studio can't be reached."), "whoami")


def doubled_settings(cycle: Cycle) -> None:
    cycle.environment |= {"EXAM_SHARE": "0.2", "TEST_SHARE": "0.1"}


def model_dir(cycle: Cycle) -> None:
    cycle.monkeypatch.setattr("os.access", lambda *_: False)


def disk_full(cycle: Cycle) -> None:
    cycle.monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000}))


def redis(cycle: Cycle) -> None:
    cycle.monkeypatch.undo()

    class Away:
        def set(self, *_: object, **__: object) -> None:
            raise ConnectionError("refused")

    queue = JobQueue.__new__(JobQueue)
    queue.connection = Away()  # pyright: ignore[reportAttributeAccessIssue]
    cycle.monkeypatch.setattr(JobQueue, "connect", lambda *_, **__: queue)


def workers(cycle: Cycle) -> None:
    cycle.worker_runs = False


def server(cycle: Cycle) -> None:
    silent = Silent(address=URL, reason="nothing answers there")
    cycle.monkeypatch.setattr("aftertone.examination.silent_servers", lambda _: [silent])


def server_unreachable(cycle: Cycle) -> None:
    server(cycle)
    settings = cycle.loop.settings
    cycle.others.enter_context(Store(settings.model_dir).running.enter("server", *settings.shared()))


def differing_settings(cycle: Cycle) -> None:
    settings = cycle.loop.settings
    other = settings.model_copy(update={"seed": 7})
    cycle.others.enter_context(Store(settings.model_dir).running.enter("server", *other.shared()))


def unknown_project(cycle: Cycle) -> None:
    cycle.project(id=2)


def unconnected(cycle: Cycle) -> None:
    cycle.state["models"] = []


def label_config(cycle: Cycle) -> None:
    cycle.project(label_config="<View><Text name='text' value='$text'/></View>")


def options(cycle: Cycle) -> None:
    cycle.state["models"][0]["extra_params"] = {"batchsize": 9}


def unreadable(cycle: Cycle) -> None:
    cycle.fail(LabelStudioError("Label Studio answered 500."), "prediction_counts")


def failed_step(cycle: Cycle) -> None:
    cycle.monkeypatch.setattr(LearningSteps, "train", lambda self: 1 / 0)
    cycle.loop.label(6)


def webhook_missing(cycle: Cycle) -> None:
    cycle.state["webhooks"] = ["http://somebody-else/webhook"]


def webhook_inactive(cycle: Cycle) -> None:
    cycle.state["webhook"] = {"active": False}


def webhook_actions(cycle: Cycle) -> None:
    cycle.state["webhook"] = {"actions": ("TASKS_CREATED",), "payload": False}


def webhook_secret(cycle: Cycle) -> None:
    cycle.state.update(refuses_headers=True, headers={})


def forgotten_secret(cycle: Cycle) -> None:
    cycle.state["headers"] = {}  # which a worker sets again


def webhook_doubled(cycle: Cycle) -> None:
    cycle.state["webhooks"] *= 2


def sampling(cycle: Cycle) -> None:
    cycle.project(sampling="Sequential sampling")


def model_version(cycle: Cycle) -> None:
    cycle.project(model_version="")


def models_title(cycle: Cycle) -> None:
    cycle.project(model_version="Aftertone")


def anothers_version(cycle: Cycle) -> None:
    cycle.project(model_version="gpt-9")


def predictions(cycle: Cycle) -> None:
    cycle.state["predictions"] = [row for row in cycle.state["predictions"] if not OURS.match(row["model_version"])]


def ranking_ends(cycle: Cycle) -> None:
    for task in cycle.loop.last.published[:10]:
        cycle.loop.label_studio.annotate(task, "happy")


def overlap(cycle: Cycle) -> None:
    cycle.project(maximum_annotations=2)


def training_on_submission(cycle: Cycle) -> None:
    cycle.project(min_annotations_to_start_training=1)


def predicting_on_listing(cycle: Cycle) -> None:
    cycle.project(evaluate_predictions_automatically=True)


def hidden_prelabels(cycle: Cycle) -> None:
    cycle.set(prelabel=True)
    cycle.project(show_collab_predictions=False)


def second_model(cycle: Cycle) -> None:
    cycle.state["models"] += [{"url": "http://another", "extra_params": {"seed": 1}}]
    cycle.loop.store.request_setup()  # Label Studio calls it when the model is connected


def doubled_model(cycle: Cycle) -> None:
    cycle.state["models"] *= 2


def tab_order(cycle: Cycle) -> None:
    by_length = {"title": "By length", "ordering": ["tasks:data.length"], "filters": {"items": [{}]}}
    cycle.state["tabs"] = [{"id": 1, "data": by_length}]


def ignored_skips(cycle: Cycle) -> None:
    cycle.project(skip_queue="IGNORE_SKIPPED")


def damage(cycle: Cycle) -> None:
    (cycle.loop.store.folder / "sources.json").write_text("{")


def no_audio(cycle: Cycle) -> None:
    cycle.sources(lambda place, row: Source(error="not audio"))


def audio_unusable(cycle: Cycle) -> None:
    task = cycle.loop.label_studio.add_task()
    real = cycle.loop.fetcher.fetch

    def fetch(number: int, source: str, file: BinaryIO) -> None:
        if number == task:
            raise FetchError("The host sleeps.")
        real(number, source, file)

    cycle.monkeypatch.setattr(cycle.loop.fetcher, "fetch", fetch)


def audio_hosts(cycle: Cycle) -> None:
    refused = Source(error=NOT_ALLOWED.format(host="a.example.org"), retry=True, at=time.time(), tries=1)
    cycle.sources(lambda place, row: refused if place < 3 else row)


def channels(cycle: Cycle) -> None:
    cycle.sources(lambda place, row: row.model_copy(update={"channels": 2, "differ": place < 3}))


def empty_answers(cycle: Cycle) -> None:
    cycle.loop.label_studio.annotate(1)


def short_regions(cycle: Cycle) -> None:
    tags = '<Audio name="audio" value="$audio"/><Labels name="emotion" toName="audio">'
    labels = "".join(f'<Label value="{name}"/>' for name in ("neutral", "happy", "sad"))
    cycle.project(label_config=f"<View>{tags}{labels}</Labels></View>")
    value = {"start": 0.1, "end": 0.12, "labels": ["happy"]}
    cycle.loop.label_studio.submit(1, [{"from_name": "emotion", "to_name": "audio", "type": "labels", "value": value}])


def untouched_answers(cycle: Cycle) -> None:
    cycle.loop.label_studio.annotate(1, "happy", origin="prediction")


def votes_never_complete(cycle: Cycle) -> None:
    cycle.set(votes_needed=2)


def unknown_labels(cycle: Cycle) -> None:
    cycle.loop.label_studio.annotate(1, "bored")


def method_lacks(cycle: Cycle) -> None:
    cycle.set(method="two-stage-adapters")


def attributes_cut(cycle: Cycle) -> None:
    for task in cycle.state["tasks"][:2]:
        task["data"]["style"] = "x" * 201
    cycle.set(attributes="style=style")  # so that all are read again


def attributes_partly(cycle: Cycle) -> None:
    for place, task in enumerate(cycle.state["tasks"][:20]):
        task["data"] |= {"sex": "fm"[place % 2], "words": "a"}
    cycle.set(method="two-stage-adapters", attributes="gender=sex, transcript=words")


def unadapted(cycle: Cycle) -> None:
    cycle.adapted(kept=False, reason="The loss didn't fall.", clips=40)


def another_backbone(cycle: Cycle) -> None:
    cycle.adapted(backbone="tiny", clips=40)
    cycle.monkeypatch.setattr("aftertone.pipeline.steps.LearningSteps.adapt", lambda _: 1 / 0)


def outgrown(cycle: Cycle) -> None:
    cycle.adapted(clips=10)


def one_emotion_speakers(cycle: Cycle) -> None:
    tasks = cycle.state["tasks"]
    for row in tasks[:36]:
        row["data"]["speaker"] = f"speaker {row['id'] % 3}"
        cycle.loop.label_studio.annotate(row["id"], ("neutral", "happy", "sad")[row["id"] % 3])
    cycle.monkeypatch.setattr(LearningSteps, "train", lambda self: 1 / 0)


def doubled_options(cycle: Cycle) -> None:
    cycle.state["models"][0]["extra_params"] = {"exam_share": 0.2, "test_share": 0.2}
    cycle.loop.store.request_setup()


def doubled_split(cycle: Cycle) -> None:
    for file in (HeldOut.FILE, HeldOut.OLD_FILE):
        (cycle.loop.store.folder / file).write_text('{"c": true}')


def disk_low(cycle: Cycle) -> None:
    cycle.monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 99_000_000}))


BROKEN: tuple[tuple[str, Callable[[Cycle], None]], ...] = (
    ("token", token),
    ("token-expiry", token_expiry),
    ("label-studio-away", label_studio_away),
    ("doubled-settings", doubled_settings),
    ("model-dir", model_dir),
    ("disk-full", disk_full),
    ("redis", redis),
    ("workers", workers),
    ("server", server),
    ("server-unreachable", server_unreachable),
    ("differing-settings", differing_settings),
    ("unknown-project", unknown_project),
    ("unconnected", unconnected),
    ("label-config", label_config),
    ("options", options),
    ("unreadable", unreadable),
    ("failed-step", failed_step),
    ("webhook-missing", webhook_missing),
    ("webhook-inactive", webhook_inactive),
    ("webhook-actions", webhook_actions),
    ("webhook-secret", webhook_secret),
    ("webhook-doubled", webhook_doubled),
    ("sampling", sampling),
    ("model-version", model_version),
    ("model-version", models_title),
    ("model-version", anothers_version),
    ("predictions", predictions),
    ("ranking-ends", ranking_ends),
    ("overlap", overlap),
    ("training-on-submission", training_on_submission),
    ("predicting-on-listing", predicting_on_listing),
    ("hidden-prelabels", hidden_prelabels),
    ("second-model", second_model),
    ("doubled-model", doubled_model),
    ("tab-order", tab_order),
    ("ignored-skips", ignored_skips),
    ("damage", damage),
    ("no-audio", no_audio),
    ("audio-unusable", audio_unusable),
    ("audio-hosts", audio_hosts),
    ("channels", channels),
    ("empty-answers", empty_answers),
    ("short-regions", short_regions),
    ("untouched-answers", untouched_answers),
    ("votes-never-complete", votes_never_complete),
    ("unknown-labels", unknown_labels),
    ("method-lacks", method_lacks),
    ("attributes-partly", attributes_partly),
    ("attributes-cut", attributes_cut),
    ("unadapted", unadapted),
    ("another-backbone", another_backbone),
    ("outgrown", outgrown),
    ("one-emotion-speakers", one_emotion_speakers),
    ("doubled-options", doubled_options),
    ("doubled-split", doubled_split),
    ("disk-low", disk_low),
)


def test_every_check_is_broken_below() -> None:
    assert {key for key, _ in BROKEN} == CHECKS.keys()


def test_nothing_is_wrong_before(cycle: Cycle) -> None:
    cycle.run()
    assert cycle.seen == []
    assert cycle.examine() == []


@pytest.mark.parametrize(("key", "breaks"), BROKEN, ids=[breaks.__name__ for _, breaks in BROKEN])
def test_what_is_broken_is_found_within_one_cycle(cycle: Cycle, key: str, breaks: Callable[[Cycle], None]) -> None:
    breaks(cycle)
    mended = key in MENDED | MENDED_UNSEEN
    before = [one.finding for one in cycle.examine()] if mended else []
    cycle.run()
    by_doctor = {one.finding.key: one for one in cycle.examine()}
    kept = {finding.key for finding in cycle.loop.store.get(Warnings).findings}
    if mended:
        assert key in {finding.key for finding in before}
        assert key in MENDED_UNSEEN | {finding.key for finding in cycle.seen}
        assert key not in kept | by_doctor.keys()
        cycle.loop.check_queue()
        return
    finding = by_doctor[key].finding
    assert finding.why
    assert finding.cure or CHECKS[key].told
    assert "PROJECT" not in finding.sentence
    assert finding.what in describe(by_doctor[key])
    if key in {check.key for check in PROJECT_CHECKS} - BY_DOCTOR_ALONE:
        assert key in kept
    if key == "failed-step":
        assert cycle.loop.store.read(Problem) is not None


MENDABLE = [
    (key, forgotten_secret if breaks is webhook_secret else breaks)
    for key, breaks in BROKEN
    if CHECKS[key].mend is not None
]


@pytest.mark.parametrize(("key", "breaks"), MENDABLE, ids=[breaks.__name__ for _, breaks in MENDABLE])
def test_what_can_be_mended_is(cycle: Cycle, key: str, breaks: Callable[[Cycle], None]) -> None:
    breaks(cycle)
    found = {one.finding.key: one for one in cycle.examine(mend=True)}
    assert found[key].mended
    assert not found[key].needs_somebody
    assert "Mended: " in describe(found[key])
    assert cycle.examine() == []
    cycle.run()
    assert cycle.loop.store.get(Warnings).findings == ()
    cycle.loop.check_queue()


def test_what_label_studio_refuses_to_mend_is_told(cycle: Cycle) -> None:
    webhook_missing(cycle)
    cycle.fail(RefusedError(403, "Label Studio answered 403: a reserved network address."), "add_webhook")
    (found,) = cycle.examine(mend=True)
    assert "reserved network address" in found.failed
    assert "couldn't be mended" in describe(found)


def test_a_project_that_a_worker_has_is_left_to_it(cycle: Cycle) -> None:
    sampling(cycle)
    with cycle.loop.store.only_writer():
        (found,) = cycle.examine(mend=True)
    assert not found.mended
    assert "A worker is at work" in found.failed
    assert cycle.state["project"]["sampling"] == "Sequential sampling"


def test_the_doctor_reads_tasks_as_the_worker_does(cycle: Cycle) -> None:
    """Else it would read them all anew, and count answers otherwise."""
    cycle.set(count_untouched=True, recording_field="recording")
    cycle.run()
    read = []
    export = cycle.loop.label_studio.export
    cycle.monkeypatch.setattr(
        cycle.loop.label_studio, "export", lambda project, ids=None: read.append(ids) or export(project, ids)
    )
    cycle.examine()
    assert None not in read
    assert not any(read)
