"""The status document of a MODEL_DIR, read from the store, so that it works whatever else is down."""

import time
from collections.abc import Collection

from aftertone.doctor.disk import free as free_bytes
from aftertone.doctor.machine_checks import SERVER
from aftertone.doctor.servers import dead, silent_servers
from aftertone.faults import unwritable
from aftertone.status.document import Status
from aftertone.status.project import project_status
from aftertone.store.project import Store


def status(store: Store, only: Collection[int] | None = None, *, ask: bool = True, brief: bool = False) -> Status:
    """Everything worth knowing about projects.

    Args:
        only: projects to speak of; all by default.
        ask: whether the addresses at which Label Studio calls the server are tried, for two seconds each.
        brief: whether what comes from rounds' tables of scores is left out: classes, histogram and next clips.

    Raises:
        NotKeptError: nothing is kept of one of these.
    """
    refused = {number: row.reason for number, row in store.refused.current().items()}
    unconfirmed = store.unconfirmed.problems()
    known = store.projects()
    if only is not None:
        for number in only:
            if number not in refused and number not in unconfirmed:
                store.kept(number)
        known = [number for number in known if number in only]
        refused = {number: why for number, why in refused.items() if number in only}
        unconfirmed = {number: why for number, why in unconfirmed.items() if number in only}
    free, alive = free_bytes(store.model_dir), store.running.alive()
    silent = dead(silent_servers(store) if ask else [], runs=any(one.kind == "server" for one in alive))
    return Status(
        at=time.time(),
        free=free,
        problem=unwritable(store.model_dir),
        workers=sum(one.kind == "worker" for one in alive),
        servers=tuple(SERVER.finding(one.sentence).sentence for one in silent),
        projects=tuple(
            project_status(number, store.project(number), free, refused.get(number, ""), brief=brief)
            for number in known
        ),
        unconfirmed={number: why for number, why in unconfirmed.items() if number not in refused},
        refused={number: why for number, why in refused.items() if number not in known},
    )
