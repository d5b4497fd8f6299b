"""What a person should know or do about a project: found on every look at it, shown by `aftertone status`."""

from aftertone.labelstudio.tasks import Snapshot
from aftertone.pipeline.dataset import Dataset
from aftertone.store.state import State


def find_warnings(
    snapshot: Snapshot, dataset: Dataset, state: State, adapt_again_share: float = 0.5, backbone: str = ""
) -> list[str]:
    """Sentences for people, the most pressing first; empty when all is well.

    Args:
        backbone: that is set now.
    """
    adaptation = state.adaptation
    found = list(state.damage)
    if not any(webhook.url.rstrip("/").endswith("/webhook") for webhook in snapshot.webhooks):
        found.append(
            "Label Studio tells this backend nothing about changes (the project has no webhook for it); labels are "
            "only found every RECONCILE_SECONDS. Usual cause: Label Studio refuses private addresses. Start it with "
            "USE_DEFAULT_BANNED_SUBNETS=false (or both ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false), "
            "then disconnect the model and connect it again."
        )
    if snapshot.overlap > 1:
        found.append(
            f"The project asks for {snapshot.overlap} annotations per task. Label Studio then hands second annotators "
            "random tasks that others have begun, so only the first annotator of a task follows the queue."
        )
    for label, count in sorted(dataset.labels_not_in_config().items()):
        found.append(
            f"{count} clips are labelled {label!r}, which the label config no longer offers. These votes count "
            "for nothing until the choice comes back or the annotations are changed."
        )
    if dataset.failed:
        found.append(
            f"{len(dataset.failed)} tasks have audio that can't be used. They stay in the project and can be labelled; "
            "`aftertone status` lists each with its reason."
        )
    if adaptation is not None and adaptation.of_another(backbone):
        found.append(
            f"BACKBONE is {backbone} now; the adapted backbone comes from {adaptation.backbone}. {backbone} is adapted "
            "to the pool next, and takes its place in the rounds that follow."
        )
    if adaptation is not None and not adaptation.kept:
        found.append(f"The backbone is used unadapted. {adaptation.reason}")
    if adaptation is not None and adaptation.outgrown_by(len(dataset.entries), adapt_again_share):
        found.append(
            f"The pool has grown from {adaptation.clips} to {len(dataset.entries)} clips since the backbone was "
            f"adapted to it; `aftertone adapt {snapshot.project}` adapts it again."
        )
    return found
