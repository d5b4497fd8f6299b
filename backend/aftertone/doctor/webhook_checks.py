"""What keeps Label Studio from telling this backend about changes."""

import secrets
from collections.abc import Iterator, Sequence

from aftertone.doctor.check import Check, Repair
from aftertone.doctor.facts import Look, webhook_address
from aftertone.labelstudio.client import LabelStudio, RefusedError
from aftertone.labelstudio.tasks import SECRET_HEADER, Webhook
from aftertone.store.project import ProjectStore

LATE = "Labels are only found every RECONCILE_SECONDS."
WANTED = ("TASKS_CREATED", "TASKS_DELETED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED",
          "ANNOTATIONS_CREATED", "PROJECT_UPDATED")  # fmt: skip
BY_MENDING = "`aftertone doctor PROJECT --mend` does it."


def _missing(look: Look) -> Iterator[str]:
    if not look.ours:
        yield "Label Studio tells this backend nothing about changes (the project has no webhook for it)."


def _inactive(look: Look) -> Iterator[str]:
    if look.ours and not any(hook.active for hook in look.ours):
        yield "The project's webhook to this backend is switched off."


def _silent(look: Look) -> Iterator[str]:
    for hook in look.ours:
        lacking = [action for action in WANTED if hook.actions is not None and action not in hook.actions]
        if lacking:
            yield f"The project's webhook leaves out {', '.join(lacking)}."
        if not hook.payload:
            yield "The project's webhook sends no payload, so that it names no project."


def _secret(look: Look) -> Iterator[str]:
    if look.refused_secret:
        yield (
            "Label Studio's webhooks to this backend carry no secret, because it couldn't be set there "
            f"({look.refused_secret})."
        )


def _doubled(look: Look) -> Iterator[str]:
    if look.url and len(look.ours) > 1:
        yield f"The project has {len(look.ours)} webhooks to this backend."


def protected(hooks: Sequence[Webhook], secret: str) -> bool:
    """Whether each webhook carries the secret."""
    return all(secret and hook.headers.get(SECRET_HEADER) == secret for hook in hooks)


def protect(label_studio: LabelStudio, hooks: Sequence[Webhook], store: ProjectStore) -> None:
    """Let webhooks carry the project's secret, or a new one.

    Raises:
        RefusedError: Label Studio doesn't let them; then events are taken without.
    """
    fresh = store.webhook_secret or secrets.token_urlsafe(32)
    try:
        for hook in hooks:
            label_studio.set_webhook_headers(hook, {**hook.headers, SECRET_HEADER: fresh})
    except RefusedError:
        store.set_webhook_secret("")  # it would keep out what Label Studio sends without it
        raise
    store.set_webhook_secret(fresh)  # only now: before, Label Studio doesn't send it


def _protect(repair: Repair) -> str:
    if repair.store is None:
        return ""
    protect(repair.label_studio, repair.look.ours, repair.store)
    return "The webhook carries the project's secret."


def _add(repair: Repair) -> str:
    if not repair.look.url or repair.store is None:
        return ""
    secret = repair.store.webhook_secret or secrets.token_urlsafe(32)
    address = webhook_address(repair.look.url)
    repair.label_studio.add_webhook(repair.look.snapshot.project, address, {SECRET_HEADER: secret})
    repair.store.set_webhook_secret(secret)
    return "A webhook to this backend was added."


def _switch_on(repair: Repair) -> str:
    for hook in repair.look.ours:
        repair.label_studio.switch_on_webhook(hook)
    return "The webhook is switched on and tells of every change."


def _remove_doubles(repair: Repair) -> str:
    for hook in repair.look.ours[1:]:
        repair.label_studio.delete_webhook(hook)
    return f"{len(repair.look.ours) - 1} of them were deleted."


WEBHOOK_CHECKS: tuple[Check[Look], ...] = (
    Check(
        key="webhook-missing",
        severity="warning",
        title="The project has no webhook to this backend",
        why=LATE,
        cure="Usual cause: Label Studio refuses private addresses. Start it with USE_DEFAULT_BANNED_SUBNETS=false (or "
        "both ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false), then disconnect the model and connect it "
        "again, or call `aftertone doctor PROJECT --mend`.",
        find=_missing,
        mend=_add,
    ),
    Check(
        key="webhook-inactive",
        severity="warning",
        title="The webhook is switched off",
        why=LATE,
        cure=f"Switch it on in Settings > Webhooks. {BY_MENDING}",
        find=_inactive,
        mend=_switch_on,
    ),
    Check(
        key="webhook-actions",
        severity="warning",
        title="The webhook leaves out some changes",
        why=f"Of those changes nobody is told. {LATE}",
        cure=f"Let it send all actions and the payload (Settings > Webhooks). {BY_MENDING}",
        find=_silent,
        mend=_switch_on,
    ),
    Check(
        key="webhook-secret",
        severity="warning",
        title="The webhook carries no secret",
        why="Anybody who reaches this backend may then pretend to be Label Studio and have it look at a project.",
        cure="Give the token's user the right to change the project's webhooks. Each look tries to set it again.",
        find=_secret,
        mend=_protect,
    ),
    Check(
        key="webhook-doubled",
        severity="note",
        title="The project has several webhooks to this backend",
        why="Each change is told several times while the annotator waits.",
        cure=f"Delete all but one in Settings > Webhooks. {BY_MENDING}",
        find=_doubled,
        mend=_remove_doubles,
    ),
)
