"""What is said of a task whose audio lies on a host that the operator doesn't allow, and how to know it again."""

NOT_ALLOWED = "Audio at {host} is not fetched: add the host to AUDIO_HOSTS to allow it."


def refused_host(reason: str) -> str | None:
    """The host that the operator would have to allow, where that is why a task's audio can't be used."""
    before, after = NOT_ALLOWED.split("{host}")
    return reason[len(before) : -len(after)] if reason.startswith(before) and reason.endswith(after) else None
