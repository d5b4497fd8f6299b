"""A check: what it looks for, and what a person is told where it finds something."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from aftertone.doctor.facts import Look
from aftertone.store.project import ProjectStore
from aftertone.store.records import Finding, Severity

if TYPE_CHECKING:  # who only says what was found asks Label Studio nothing
    from aftertone.labelstudio.client import LabelStudio

T = TypeVar("T")

MENDED = "A worker mends it when it next looks; `aftertone doctor PROJECT --mend` does so at once."


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What a check may mend with."""

    label_studio: "LabelStudio"
    store: ProjectStore | None  # of the project, as its only writer; None where a worker has the project right now
    look: Look


@dataclass(frozen=True, kw_only=True)
class Check(Generic[T]):
    """One thing that can be wrong with what is looked at, a T."""

    key: str
    severity: Severity
    title: str  # what is wrong, for the page of all checks
    why: str  # why it matters
    cure: str  # what to do; PROJECT stands for the project's number
    find: Callable[[T], Iterable[str]]  # a sentence for each case of it; none where all is well
    told: bool = False  # whether those sentences say the cure already
    mend: Callable[[Repair], str] | None = None
    """Mends it. Returns a sentence that says what was done; '' where that has to wait for a worker."""

    def findings(self, seen: T, project: int | None = None) -> list[Finding]:
        """What is wrong in what was seen."""
        return [self.finding(what, project) for what in self.find(seen)]

    def finding(self, what: str, project: int | None = None) -> Finding:
        """A case of it."""
        cure = "" if self.told else self.cure.replace("PROJECT", str(project))
        return Finding(key=self.key, severity=self.severity, what=what, why=self.why, cure=cure)
