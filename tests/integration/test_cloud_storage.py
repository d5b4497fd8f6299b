"""Audio in a bucket of S3, through the real Label Studio: signed addresses or its proxy, and both kinds of token."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from aftertone.status import status
from aftertone.store.project import Store
from aftertone.store.records import Sources
from tests.integration.bucket import Bucket, open_bucket
from tests.integration.loop import Loop
from tests.integration.server import Server, tone, wav

MakeLoop = Callable[..., Loop]
COUNT = 8


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with open_bucket() as opened:
        yield opened


@pytest.mark.parametrize(("token", "presign"), [("personal", True), ("legacy", True), ("personal", False)])
def test_a_bucket_is_learned_from_although_signatures_end_on_the_way(
    make_loop: MakeLoop, label_studio: Server, bucket: Bucket, token: str, presign: bool
) -> None:
    loop = make_loop(0)
    key = label_studio.legacy_token if token == "legacy" else label_studio.admin_token
    loop = replace(loop, settings=loop.settings.model_copy(update={"label_studio_api_key": SecretStr(key)}))
    bucket.connect(label_studio.session, loop.project, presign=presign)
    files = {f"{token}-{presign}-{n}.wav": wav(tone(n, 0.3)) for n in range(COUNT)}
    label_studio.session.post(
        f"/api/projects/{loop.project}/import",
        [{"audio": bucket.put(name, content)} for name, content in files.items()],
    )
    bucket.forget()
    late = set(list(files)[2:4]) if presign else set()
    bucket.over_once |= late
    loop.advance()
    loop.check_queue()
    rows = loop.store.get(Sources).sources.values()
    assert [row.error for row in rows] == [""] * COUNT
    assert len({row.clip for row in rows}) == COUNT
    assert set(bucket.refused) == late  # each was fetched again by a fresh address, at once
    assert sorted(bucket.signed if presign else bucket.proxied) == sorted(files)
    assert not (bucket.proxied if presign else bucket.signed)


def test_a_signed_address_in_a_task_that_is_over_says_what_to_do_and_a_fresh_one_is_fetched(
    make_loop: MakeLoop, label_studio: Server, bucket: Bucket
) -> None:
    loop = make_loop(COUNT)
    loop = replace(loop, settings=loop.settings.model_copy(update={"audio_hosts": ("127.0.0.1",)}))
    bucket.put("late.wav", wav(tone(77, 0.3)))
    session = label_studio.session
    session.post(f"/api/projects/{loop.project}/import", [{"audio": bucket.signed_url("late.wav", "a", age=61)}])
    task = max(label_studio.tasks(loop.project))
    loop.advance()
    loop.check_queue()

    def unusable() -> dict[int, str]:
        (shown,) = [row for row in status(Store(loop.settings.model_dir)).projects if row.project == loop.project]
        assert shown.clips == COUNT + 1 - len(shown.unusable)
        return {row.task: row.reason for row in shown.unusable}

    assert "a signed address has expired: put a fresh address into the task" in unusable()[task]
    assert "X-Amz" not in str(unusable())
    session.patch(f"/api/tasks/{task}/", {"data": {"audio": bucket.signed_url("late.wav", "b")}})
    loop.advance()
    assert unusable() == {}
