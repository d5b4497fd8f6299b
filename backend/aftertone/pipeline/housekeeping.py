"""What every look at a project leaves in its store, whatever the next step is; nothing else that looks writes."""

from dataclasses import replace

from aftertone.labelstudio.tasks import Snapshot
from aftertone.pipeline.complete import needs_more_than_asked, votes_needed
from aftertone.pipeline.dataset import Dataset
from aftertone.pipeline.untouched import untouched_warning
from aftertone.pipeline.warnings import find_warnings
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut, InProgress, Quiet, Warnings
from aftertone.store.state import State
from aftertone_model.evaluation.test_split import assign_test_split


def keep_house(
    store: ProjectStore, state: State, snapshot: Snapshot, dataset: Dataset, settings: Settings, now: float,
    warning: str = "",
) -> State:  # fmt: skip
    """Bring the warnings, the time since the last import and the test split up to date. Returns the state with them.

    Clips join the test split or training once the first import has settled, so that whole speakers can be told.

    Args:
        warning: of the look itself; '' for none.
    """
    found = [warning] if warning else []
    if untouched := untouched_warning(
        snapshot.tasks.values(), counted=settings.count_untouched, prelabel=settings.prelabel
    ):
        found.append(untouched)
    if short := needs_more_than_asked(settings, snapshot.overlap):
        found.append(short)
    found += find_warnings(snapshot, dataset, state, settings.adapt_again_share, settings.backbone)
    warnings = Warnings(warnings=tuple(found))
    if warnings != store.read(Warnings):
        store.save(warnings)
    in_progress = InProgress(clips=len(dataset.awaited), needed=votes_needed(settings, snapshot.overlap))
    if in_progress != store.get(InProgress):
        store.save(in_progress)
    shape = (len(snapshot.tasks), max(snapshot.tasks, default=0))
    if state.quiet is None or state.quiet.shape != shape or state.quiet.since > now:  # a clock was ahead
        quiet = Quiet(shape=shape, since=now)
        store.save(quiet)
        state = replace(state, quiet=quiet)
    unassigned = any(clip.id not in state.held_out for clip in dataset.clips)
    if unassigned and not dataset.missing and not state.unsettled(settings.settle_seconds, now):
        held_out = assign_test_split(dataset.clips, state.held_out, share=settings.test_share, seed=settings.seed)
        store.save(HeldOut(clips=held_out))
        state = replace(state, held_out=held_out)
    return state
