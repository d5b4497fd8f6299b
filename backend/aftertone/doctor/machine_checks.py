"""What all projects depend on: settings, token, Label Studio, Redis, workers and the disk."""

from collections.abc import Iterator
from datetime import UTC, datetime

from aftertone.doctor.check import Check
from aftertone.doctor.disk import LEAST_FREE, size
from aftertone.doctor.facts import Machine
from aftertone.doctor.servers import dead
from aftertone.errors import TokenError

SOON = 14 * 86_400.0  # seconds before a token's end from which on it is told
NAMES = (("TEST_SHARE", "EXAM_SHARE"), ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"))  # today's, and the older one


def _token(machine: Machine) -> Iterator[str]:
    if isinstance(machine.label_studio, TokenError):
        yield str(machine.label_studio)


def _away(machine: Machine) -> Iterator[str]:
    if machine.label_studio is not None and not isinstance(machine.label_studio, TokenError):
        yield str(machine.label_studio)


def _expiry(machine: Machine) -> Iterator[str]:
    ends = machine.token_expires
    if ends is not None and ends - machine.now < SOON:
        day = datetime.fromtimestamp(ends, UTC).strftime("%-d %B %Y, %H:%M UTC")
        yield f"LABEL_STUDIO_API_KEY {'expired' if ends <= machine.now else 'expires'} on {day}."


def _names(machine: Machine) -> Iterator[str]:
    given = {name.upper(): value for name, value in machine.environment.items() if value}
    for name, older in NAMES:
        if name in given and older in given and given[name] != given[older]:
            yield f"Both {name} and {older} are set, to different values. {name} counts."


def _unwritable(machine: Machine) -> Iterator[str]:
    if machine.unwritable:
        yield machine.unwritable


def _full(machine: Machine) -> Iterator[str]:
    if machine.free is not None and machine.free < LEAST_FREE:
        yield f"Only {size(machine.free)} are free where MODEL_DIR lies."


def _redis(machine: Machine) -> Iterator[str]:
    if machine.redis:
        yield machine.redis


def _workers(machine: Machine) -> Iterator[str]:
    if machine.workers == 0:
        yield "No worker runs."


def _dead(machine: Machine) -> Iterator[str]:
    for one in dead(machine.silent, runs=machine.server_runs):
        yield one.sentence


def _unreachable(machine: Machine) -> Iterator[str]:
    for one in machine.silent:
        if one not in dead(machine.silent, runs=machine.server_runs):
            yield one.sentence


def _differing(machine: Machine) -> Iterator[str]:
    for process, names in machine.differing.items():
        yield f"{process} has other settings than this command: {names}."


SERVER: Check[Machine] = Check(
    key="server",
    severity="problem",
    title="Nothing answers where Label Studio calls this backend",
    why="Label Studio can't tell of new labels, show predictions or start a training. Annotators are served the "
    "last ranking meanwhile, and workers find labels every RECONCILE_SECONDS.",
    cure="Start `aftertone serve` with the same MODEL_DIR. If it runs elsewhere or on another port, correct the "
    "address in Label Studio (Settings > Model > Edit).",
    find=_dead,
)

MACHINE_CHECKS: tuple[Check[Machine], ...] = (
    Check(
        key="token",
        severity="problem",
        title="Label Studio refuses the token, or none is set",
        why="Nothing can be read from Label Studio or published there. At start, `aftertone serve` and `aftertone "
        "worker` end with this.",
        cure="Create a personal access token in Label Studio (Account & Settings > Personal Access Token) and set "
        "LABEL_STUDIO_API_KEY of every process.",
        find=_token,
        told=True,
    ),
    Check(
        key="token-expiry",
        severity="warning",
        title="The token expires soon",
        why="From then on nothing can be read from Label Studio or published there.",
        cure="Create another one (Account & Settings > Personal Access Token), set LABEL_STUDIO_API_KEY and start "
        "server and workers again.",
        find=_expiry,
    ),
    Check(
        key="label-studio-away",
        severity="problem",
        title="Label Studio can't be reached or answers something strange",
        why="Nothing can be read or published meanwhile. Nothing is lost: workers try again by themselves.",
        cure="Check that it runs and that LABEL_STUDIO_URL is its address as this machine sees it (inside a container, "
        "localhost is the container itself).",
        find=_away,
        told=True,
    ),
    Check(
        key="doubled-settings",
        severity="warning",
        title="A setting is given under its old and its new name",
        why="Only one of them counts, and it may be the other one.",
        cure="Unset the older one.",
        find=_names,
    ),
    Check(
        key="model-dir",
        severity="problem",
        title="Nothing can be written into MODEL_DIR",
        why="No step can leave its result.",
        cure="The message says whether it is the disk, the rights or a file in the folder's place, and what to do.",
        find=_unwritable,
        told=True,
    ),
    Check(
        key="disk-full",
        severity="problem",
        title="The disk with MODEL_DIR is full",
        why="Every step that writes fails and is tried again.",
        cure="Free some space, for instance by `aftertone clean`.",
        find=_full,
    ),
    Check(
        key="redis",
        severity="problem",
        title="Redis can't be reached or is full",
        why="Workers learn of no change until it is back. Nothing is lost: Redis holds hints only.",
        cure="Start it, correct REDIS_URL, raise its maxmemory, or unset REDIS_URL to use the embedded one.",
        find=_redis,
    ),
    Check(
        key="workers",
        severity="problem",
        title="No worker runs",
        why="The server answers Label Studio, but nothing is fetched, trained or ranked.",
        cure="Start `aftertone worker`, with the same settings as the server.",
        find=_workers,
    ),
    SERVER,
    Check(
        key="server-unreachable",
        severity="warning",
        title="This machine can't reach the address at which Label Studio calls this backend",
        why="Perhaps Label Studio can't either, and then it tells of no new labels. Or it is in another network, such "
        "as that of containers, where the address is known.",
        cure="Open Settings > Model in Label Studio: the model should be shown as connected. If it isn't, correct its "
        "address, HOST or PORT.",
        find=_unreachable,
    ),
    Check(
        key="differing-settings",
        severity="warning",
        title="Processes of one MODEL_DIR have different settings",
        why="Which settings a round is made with then depends on who happens to make it. A worker refuses to start "
        "beside one with other settings.",
        cure="Give server, workers and this command the same settings, and start them again.",
        find=_differing,
    ),
)
