"""What the other integration tests take for granted about the server they are given."""

import httpx


def test_project_serves_its_audio_to_both_kinds_of_token(label_studio):
    project = label_studio.project(2)
    first, second = label_studio.tasks(project)
    assert first != second
    audio = label_studio.session.get(f"/api/tasks/{first}")["data"]["audio"]
    for authorization in (label_studio.session.authorization(), f"Token {label_studio.legacy_token}"):
        headers = {"Authorization": authorization}
        reply = httpx.get(label_studio.url + audio, headers=headers, trust_env=False, timeout=10)
        assert reply.content[:4] == b"RIFF"


def test_annotators_label_skip_and_never_get_the_same_task(label_studio):
    project = label_studio.project(3)
    one, other = label_studio.annotator(), label_studio.annotator()
    mine, theirs = one.next_task(project), other.next_task(project)
    assert mine is not None
    assert theirs is not None
    assert mine != theirs
    one.choose(mine, "happy")
    other.skip(theirs)
    exported = label_studio.session.get(f"/api/projects/{project}/export", exportType="JSON")
    cancelled = {task["id"]: [a["was_cancelled"] for a in task["annotations"]] for task in exported}
    assert cancelled == {mine: [False], theirs: [True]}
