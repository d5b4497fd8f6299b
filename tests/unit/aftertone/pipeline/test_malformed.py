"""A project full of broken tasks: each is unusable for a reason of its own that says what to do; the others go on."""

import re
from collections.abc import Callable

import pytest

from aftertone.labelstudio.download import Fetcher
from aftertone.status import status
from aftertone.store.project import Store
from tests.malformed import LONGEST, MOST_BYTES, PREFIX, Reply, malformed, serve
from tests.recordings import encoded, tone
from tests.unit.aftertone.loops import MemoryLoop

GOOD = 24
WHAT_TO_DO = re.compile(
    r"\b(upload|correct|check|connect|give|add the host|put|cut|raise|let|open|convert|export|tried again)\b", re.I
)


@pytest.fixture
def files() -> dict[str, Reply]:
    good = {f"good {n}.wav": Reply(content=encoded(tone(0.3, hertz=200 + 20 * n))) for n in range(GOOD)}
    return {PREFIX + name: reply for name, reply in good.items()}


def test_every_broken_task_has_its_reason_and_the_good_ones_are_learned_from(
    make_loop: Callable[..., MemoryLoop], files: dict[str, Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(0)
    loop.settings = loop.settings.model_copy(update={"max_clip_seconds": LONGEST})
    good = [loop.label_studio.add_task(audio=source) for source in files]
    with serve(files) as own:
        broken = malformed(own)
        assert len(broken) >= 200
        files |= {f"{PREFIX}{one.name}": one.reply for one in broken if one.reply is not None}
        tasks = {}
        for one in broken:  # among the good ones, not behind them
            task = loop.label_studio.add_task()
            loop.label_studio.state["tasks"][-1]["data"] = dict(one.data)
            tasks[task] = one
        monkeypatch.setattr(loop.label_studio, "url", own)
        monkeypatch.setattr(loop.label_studio, "authorization", lambda: "Bearer secret-token")
        fetcher = Fetcher(loop.label_studio, hosts=("*.allowed.example.org",), timeout=10, max_bytes=MOST_BYTES)
        monkeypatch.setattr(loop, "fetcher", fetcher)
        loop.advance()
        assert loop.problem == ""
        (found,) = status(Store(loop.settings.model_dir)).projects
        reasons = {row.task: row.reason for row in found.unusable}
        wrong = [
            f"{one.name}: {reasons.get(task)!r}"
            for task, one in tasks.items()
            if not re.search(one.said, reasons.get(task, ""), re.DOTALL)
        ]
        assert wrong == []
        assert reasons.keys() == tasks.keys()
        for reason in reasons.values():
            assert WHAT_TO_DO.search(reason), reason
            assert len(reason) < 500
            assert "secret-token" not in reason
            assert PREFIX not in reason
        assert found.clips == GOOD
        assert loop.store.round_numbers() == [0]
        assert set(loop.last.published) <= set(good)
        loop.label(6)
        loop.advance()
        assert loop.store.round_numbers() == [0, 1]
        loop.check_queue()
        fetcher.close()
