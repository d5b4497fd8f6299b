"""Which clips wait for further votes, and which are as complete as they will be."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from aftertone.pipeline.dataset import Entry
from aftertone.settings import Settings

HOUR = 3600.0  # seconds


def votes_needed(settings: Settings, overlap: int) -> int:
    """Votes with which a clip is complete.

    Args:
        overlap: annotations that the project asks for per task.
    """
    return settings.votes_needed or overlap


def awaited_clips(entries: Mapping[str, Entry], settings: Settings, overlap: int, now: float) -> frozenset[str]:
    """Ids of clips that have a vote and wait for others.

    A clip is waited for until it has the votes it needs, until it is starred, or until its annotators have moved on:
    each of them has voted MOVED_ON_VOTES times since, or nothing about it has changed for MOVED_ON_HOURS.

    Args:
        now: epoch seconds by Label Studio's clock.
    """
    needed = votes_needed(settings, overlap)
    short = {clip: entry for clip, entry in entries.items() if entry.answer.given and _short(entry, needed)}
    if not short:
        return frozenset()
    moments: dict[str, list[str]] = defaultdict(list)  # annotator -> when they voted, ascending
    for entry in entries.values():
        for work in entry.work:
            if work.chosen:
                moments[work.annotator].append(work.at)
    for voted in moments.values():
        voted.sort()
    return frozenset(clip for clip, entry in short.items() if not _moved_on(entry, moments, settings, now))


def _short(entry: Entry, needed: int) -> bool:
    return not any(answer.final for answer in entry.answers) and sum(len(a.by) for a in entry.answers) < needed


def _moved_on(entry: Entry, moments: Mapping[str, list[str]], settings: Settings, now: float) -> bool:
    if not entry.work:
        return True  # nothing tells when it was answered
    changed = max(datetime.fromisoformat(work.changed).timestamp() for work in entry.work)
    if now - changed > settings.moved_on_hours * HOUR:
        return True
    last = {work.annotator: work.at for work in entry.work if work.chosen}  # of each annotator's votes on it
    later = [len(moments[who]) - bisect_right(moments[who], at) for who, at in last.items()]
    return bool(later) and min(later) >= settings.moved_on_votes
