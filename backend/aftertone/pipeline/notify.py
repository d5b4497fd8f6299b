"""Telling somebody's webhook what happened in a project: found by comparing what is so with what was told.

So a killed worker loses no news, and none is told of what was so before there was an address. A webhook that doesn't
answer costs a few seconds at the end of a job, and nothing else. After a kill it may get the same twice.
"""

import logging
import re
import threading
import time

import httpx

from aftertone.addresses import host_of
from aftertone.settings import Settings
from aftertone.store.clock import Moment
from aftertone.store.project import ProjectStore
from aftertone.store.records import Part, Problem, Record

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds that a webhook may take between two bytes
LONGEST = 10.0  # seconds that it may take in all
TRIES = 5  # cycles of the worker in which a notification is tried
MOST = 20  # notifications that may wait
SECRET_HEADER = "X-Aftertone-Secret"
ROUND, PROBLEM, ENOUGH = "round_published", "problem", "enough_labels"  # events


class Notice(Part):
    """One notification that waits to be delivered."""

    event: str
    sentence: str
    at: Moment
    tries: int = 0


class Notices(Record):
    """What people were told, and what they are still to be told."""

    FILE = "notices.json"
    AFTER_DAMAGE = "Nobody is notified of what happened meanwhile."

    version: str = ""  # of the served round
    problem: str = ""  # its text without figures; '' while there is none
    enough: bool = False  # that there are enough labels
    waiting: tuple[Notice, ...] = ()


class Notifier:
    """Notifies about one project. Never fails."""

    def __init__(self, project: int, store: ProjectStore, settings: Settings) -> None:
        """What is so now isn't news, unless it was so at no earlier time that was looked at."""
        self._project, self._store = project, store
        self._url = settings.notify_url.get_secret_value()
        self._secret = settings.notify_secret.get_secret_value()
        try:
            if not self._url:
                store.remove(Notices)
            elif store.read(Notices) is None:
                store.save(self._news(Notices()).model_copy(update={"waiting": ()}))
        except Exception as error:
            self._warn(f"Notifications can't be kept: {error}")

    def tell(self) -> None:
        """Deliver what is new, and what couldn't be delivered before."""
        if not self._url:
            return
        try:
            before = self._store.get(Notices)
            found = self._news(before)
            found = found.model_copy(update={"waiting": self._deliver(found.waiting[-MOST:])})
            if found != before:
                self._store.save(found)
        except Exception as error:
            self._warn(f"Notifications can't be kept: {error}")

    def _news(self, told: Notices) -> Notices:
        store, news = self._store, []
        number, problem = store.current, store.read(Problem)
        record = store.round(number) if number in store.round_numbers() else None
        version = record.version if record is not None else told.version
        if record is not None and record.version != told.version:
            news.append((ROUND, f"Round {record.number} is served to annotators. {record.advice}".strip()))
        enough = record.enough if record is not None else told.enough
        if record is not None and enough and not told.enough:
            news.append((ENOUGH, record.advice))
        text = f"{problem.step}: {re.sub(r'[0-9]+', '', problem.message)}" if problem is not None else ""
        if problem is not None and text != told.problem:
            news.append((PROBLEM, f"Can't {problem.step}: {problem.message}"))
        now = time.time()
        waiting = (*told.waiting, *(Notice(event=event, sentence=sentence, at=now) for event, sentence in news))
        return Notices(version=version, problem=text, enough=enough, waiting=waiting)

    def _deliver(self, waiting: tuple[Notice, ...]) -> tuple[Notice, ...]:
        """Returns what is to be tried again."""
        for index, notice in enumerate(waiting):
            if failure := self._post(notice):
                tried = notice.model_copy(update={"tries": notice.tries + 1})
                given_up = tried.tries >= TRIES
                self._warn(f"{failure}; {'it is not tried again' if given_up else 'it is tried again later'}")
                return (*(() if given_up else (tried,)), *waiting[index + 1 :])
        return ()

    def _post(self, notice: Notice) -> str:
        """Returns why it failed; '' where it didn't. Whoever drips an answer is left alone with it."""
        outcome = ["it takes too long"]
        body = {"project": self._project, "event": notice.event, "sentence": notice.sentence}

        def send() -> None:
            try:
                headers = {SECRET_HEADER: self._secret} if self._secret else {}
                with httpx.stream("POST", self._url, json=body, headers=headers, timeout=TIMEOUT) as reply:
                    outcome[0] = "" if reply.is_success else f"it answered {reply.status_code}"
            except Exception as error:
                outcome[0] = type(error).__name__  # its text may hold the address

        thread = threading.Thread(target=send, name="notify", daemon=True)
        thread.start()
        thread.join(LONGEST)
        return f"{host_of(self._url)} wasn't notified ({outcome[0]})" if outcome[0] else ""

    def _warn(self, said: str) -> None:
        log.warning("Project %d: %s", self._project, said, extra={"action": "not_notified", "project": self._project})
