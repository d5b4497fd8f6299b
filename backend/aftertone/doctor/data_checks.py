"""What is wrong with a project's audio, labels and backbone, and with what is kept of it."""

from collections import Counter
from collections.abc import Iterator

from aftertone.attribute_names import NAMES, longest_value, was_cut
from aftertone.doctor.check import Check
from aftertone.doctor.disk import size
from aftertone.doctor.facts import Look
from aftertone.doctor.untouched import untouched_warning
from aftertone.labelstudio.audio_hosts import refused_host
from aftertone_model.data.clips import MIN_SECONDS
from aftertone_model.method_names import TWO_STAGE
from aftertone_model.two_stage_adapters.needs import LEARNED, TRANSCRIPT

LEAST_LABELS = 30  # labelled clips of speakers with several, below which nothing is said about speakers
LEAST_OF_SPEAKER = 3  # labelled clips
ONE_EMOTION = 0.85  # mean share of a speaker's most frequent label; measured: 0.97 does harm, up to 0.51 doesn't
BEYOND_POOL = 0.2  # by how much that share must be above the pool's own, which is high where the pool is mostly neutral


def _damage(look: Look) -> Iterator[str]:
    yield from look.state.damage


def _no_audio(look: Look) -> Iterator[str]:
    if look.failed and not look.clips:
        yield f"None of the {len(look.failed)} tasks that were looked at has audio that can be used."


def _unusable(look: Look) -> Iterator[str]:
    if count := sum(refused_host(why) is None for why in look.failed.values()):
        yield f"{count} tasks have audio that can't be used."


def _hosts(look: Look) -> Iterator[str]:
    hosts = Counter(host for why in look.failed.values() if (host := refused_host(why)) is not None)
    for host, count in sorted(hosts.items()):
        yield f"{count} tasks have their audio at {host}, which isn't among AUDIO_HOSTS."


def _channels(look: Look) -> Iterator[str]:
    if look.differing and look.settings.channel == "mix":
        yield (
            f"In {look.differing} of {look.several} audio files with several channels these say different things, as "
            "where each speaker of a call has one."
        )


def _empty(look: Look) -> Iterator[str]:
    tasks = look.snapshot.tasks.values()
    if count := sum(task.annotations > 0 and task.answer.skipped and not task.answer.untouched for task in tasks):
        yield f"{count} tasks were submitted without an answer to {look.snapshot.question.control!r}."


def _short_regions(look: Look) -> Iterator[str]:
    if count := look.short_regions:
        were = "region that was marked is" if count == 1 else "regions that were marked are"
        yield f"{count} {were} shorter than {MIN_SECONDS} s within the audio."


def _untouched(look: Look) -> Iterator[str]:
    if said := untouched_warning(
        look.snapshot.tasks.values(), counted=look.settings.count_untouched, prelabel=look.settings.prelabel
    ):
        yield said


def _votes(look: Look) -> Iterator[str]:
    needed, overlap = look.settings.votes_needed, look.snapshot.overlap
    if needed > overlap:
        yield f"VOTES_NEEDED is {needed}, but the project asks for {overlap} per task."


def _unknown_labels(look: Look) -> Iterator[str]:
    for label, count in sorted(look.unknown_labels.items()):
        yield f"{count} clips are labelled {label!r}, which the label config no longer offers."


def _lacking(look: Look) -> Iterator[str]:
    if look.lacking:
        yield look.lacking


def _attributes_partly(look: Look) -> Iterator[str]:
    tasks = look.snapshot.tasks.values()
    counts = {name: sum(bool(task.attributes.get(name)) for task in tasks) for name in (*LEARNED, TRANSCRIPT)}
    if look.settings.method == TWO_STAGE and not look.lacking and min(counts.values()) < len(tasks):
        told = ", ".join(f"{count or 'none'} a {name}" for name, count in counts.items())
        yield f"Of {len(tasks)} tasks have {told}."


def _attributes_cut(look: Look) -> Iterator[str]:
    for name in NAMES:
        cut = [task.id for task in look.snapshot.tasks.values() if was_cut(name, task.attributes.get(name, ""))]
        if cut:
            tasks = "1 task has" if len(cut) == 1 else f"{len(cut)} tasks have"
            yield f"{tasks} a {name} of more than {longest_value(name)} characters, such as task {min(cut)}."


def _unadapted(look: Look) -> Iterator[str]:
    adaptation = look.state.adaptation
    if adaptation is not None and not adaptation.kept and look.settings.method == "after":
        yield adaptation.reason


def _another_backbone(look: Look) -> Iterator[str]:
    adaptation, backbone = look.state.adaptation, look.settings.backbone
    if adaptation is not None and adaptation.of_another(backbone):
        yield f"BACKBONE is {backbone} now; the adapted backbone comes from {adaptation.backbone}."


def _outgrown(look: Look) -> Iterator[str]:
    adaptation, share = look.state.adaptation, look.settings.adapt_again_share
    if adaptation is not None and adaptation.outgrown_by(look.clips, share):
        yield (
            f"The pool has grown from {adaptation.clips} to {look.clips} clips since the backbone was adapted to it."
        )


def _one_emotion(look: Look) -> Iterator[str]:
    speakers = [counts for counts in look.speakers.values() if sum(counts.values()) >= LEAST_OF_SPEAKER]
    total = sum(sum(counts.values()) for counts in speakers)
    if not look.settings.speaker_field or len(speakers) < 2 or total < LEAST_LABELS:
        return
    pool: Counter[int] = Counter()
    for counts in speakers:
        pool.update(counts)
    share = sum(max(counts.values()) for counts in speakers) / total
    if share >= max(ONE_EMOTION, max(pool.values()) / total + BEYOND_POOL):
        yield f"{share:.0%} of the labels are their speaker's most frequent one."


def _options(look: Look) -> Iterator[str]:
    if {"exam_share", "test_share"} <= look.options.keys():
        yield "The connection's extra params give both exam_share and test_share."


def _splits(look: Look) -> Iterator[str]:
    if look.old_split:
        yield "The project's folder holds exam.json beside test-split.json, which alone counts."


def _disk(look: Look) -> Iterator[str]:
    if look.free is not None:
        yield from too_full(look.free, look.needed)


def too_full(free: int, needed: int) -> Iterator[str]:
    """Whether the disk has too little room, both in bytes."""
    if free < needed:
        yield f"Only {size(free)} are free where MODEL_DIR lies, and a step may need {size(needed)}."


DISK_LOW: Check[Look] = Check(
    key="disk-low",
    severity="warning",
    title="The disk with MODEL_DIR is nearly full",
    why="A step that finds no room fails and is tried again.",
    cure="Free some space, for instance by `aftertone clean`.",
    find=_disk,
)

DATA_CHECKS: tuple[Check[Look], ...] = (
    Check(
        key="damage",
        severity="warning",
        title="A file in MODEL_DIR is damaged or lost",
        why="What it held is made again where that can be; until then the project goes on without.",
        cure="The warning names the file and what follows. Remove the .corrupt file to end it, and check the disk.",
        find=_damage,
        told=True,
    ),
    Check(
        key="no-audio",
        severity="problem",
        title="No task has audio that can be used",
        why="There is nothing to rank or to learn from.",
        cure="`aftertone status` lists each task with its reason. Where all are the same, check AUDIO_FIELD, "
        "AUDIO_HOSTS and the storage that Label Studio serves the audio from.",
        find=_no_audio,
    ),
    Check(
        key="audio-unusable",
        severity="warning",
        title="Some tasks have audio that can't be used",
        why="Nobody is asked for them and nothing is learned from them.",
        cure="They stay in the project and can be labelled; `aftertone status` lists each with its reason.",
        find=_unusable,
    ),
    Check(
        key="audio-hosts",
        severity="warning",
        title="Audio lies on a host that isn't allowed",
        why="Aftertone fetches only from Label Studio and from hosts that the operator names.",
        cure="If you trust the host, add it to AUDIO_HOSTS of every worker and start them again. The tasks are tried "
        "again within a day, and at once where `projects/PROJECT/sources.json` in MODEL_DIR is removed.",
        find=_hosts,
    ),
    Check(
        key="channels",
        severity="note",
        title="Channels of audio files say different things",
        why="The mean of all channels is learned, so two voices may be heard as one.",
        cure="If labels are about one of them, `aftertone set PROJECT channel=left`, or right; these files are then "
        "fetched again. Otherwise nothing has to be done.",
        find=_channels,
    ),
    Check(
        key="empty-answers",
        severity="note",
        title="Tasks were submitted without an answer",
        why="Label Studio counts them as labelled and serves them no more, but they teach nothing.",
        cure='Set required="true" on the question in the label config. Delete those annotations to have the tasks '
        "served again.",
        find=_empty,
    ),
    Check(
        key="short-regions",
        severity="note",
        title="Regions are too short to learn from",
        why="Of so short a part of the audio, or of one beyond its end, there are no features; it is left out.",
        cure="Drag the regions to what they are about, or delete them.",
        find=_short_regions,
    ),
    Check(
        key="untouched-answers",
        severity="warning",
        title="Annotations leave the model's label as it was shown",
        why="Nobody looked, or nobody can tell: such answers would teach the model what it thinks already.",
        cure="Delete them in the Data Manager to have their tasks asked for again, or set COUNT_UNTOUCHED where "
        "agreeing with the label shown is an answer.",
        find=_untouched,
        told=True,
    ),
    Check(
        key="votes-never-complete",
        severity="warning",
        title="A clip needs more votes than Label Studio asks for",
        why="Such clips are learned only once their annotators have moved on.",
        cure="Raise the project's annotations per task (maximum_annotations), or lower VOTES_NEEDED.",
        find=_votes,
    ),
    Check(
        key="unknown-labels",
        severity="warning",
        title="Answers carry labels that the label config doesn't offer any more",
        why="These votes count for nothing.",
        cure="They count again when the choice comes back, or when the annotations are changed.",
        find=_unknown_labels,
    ),
    Check(
        key="method-lacks",
        severity="problem",
        title="The project lacks what its METHOD learns from",
        why="Nothing is adapted or trained until it is there. Annotators are served the queue as it is.",
        cure="The warning says what is missing and how to get it. METHOD=after needs nothing but labels.",
        find=_lacking,
        told=True,
    ),
    Check(
        key="attributes-partly",
        severity="note",
        title="Not every task has the attributes that the METHOD learns",
        why="Each is learned of the clips that have it.",
        cure="Nothing has to be done. Give the other tasks these fields, or let annotators answer further controls.",
        find=_attributes_partly,
    ),
    Check(
        key="attributes-cut",
        severity="note",
        title="Attributes of tasks are longer than any is",
        why="What is longer is cut, so that texts which differ only behind that count as the same.",
        cure="Nothing has to be done where it is free text. Otherwise correct the tasks, or say in ATTRIBUTES which "
        "field tells the attribute.",
        find=_attributes_cut,
    ),
    Check(
        key="unadapted",
        severity="warning",
        title="The backbone is used unadapted",
        why="Adapting it to the project's audio (TAPT) didn't help, so that rounds start from the backbone as it was.",
        cure="Rounds go on. Once the pool has grown, `aftertone adapt PROJECT` tries it again; on a CPU, the default "
        "backbone is the one to use.",
        find=_unadapted,
        told=True,
    ),
    Check(
        key="another-backbone",
        severity="note",
        title="BACKBONE was changed",
        why="The queue comes from the backbone before it until the next round.",
        cure="Nothing: the new one is adapted to the pool next, and takes its place in the rounds that follow. Set the "
        "old one again to keep it.",
        find=_another_backbone,
    ),
    Check(
        key="outgrown",
        severity="note",
        title="The pool has outgrown the backbone's adaptation",
        why="The backbone was adapted to another mix of audio than what is ranked now.",
        cure="`aftertone adapt PROJECT` adapts it again.",
        find=_outgrown,
    ),
    Check(
        key="one-emotion-speakers",
        severity="warning",
        title="A speaker's labels are nearly all of one emotion",
        why="Each speaker's clips are compared with that speaker's own, which takes out what they have in common: here "
        "the emotion. On such a corpus that cost 11 points of UA (docs/results, Corpora that were left out).",
        cure="Give SPEAKER_FIELD an empty value, or speaker_field in the connection's extra params.",
        find=_one_emotion,
    ),
    Check(
        key="doubled-options",
        severity="note",
        title="An option is given under its old and its new name",
        why="Only one of them counts, and it may be the other one.",
        cure="Remove exam_share (Settings > Model > Edit).",
        find=_options,
    ),
    Check(
        key="doubled-split",
        severity="note",
        title="exam.json and test-split.json are both there",
        why="An older version of Aftertone that opened this folder again would go on with the older split.",
        cure="Let only one version of Aftertone write to MODEL_DIR. A worker removes exam.json when it next looks.",
        find=_splits,
    ),
    DISK_LOW,
)
