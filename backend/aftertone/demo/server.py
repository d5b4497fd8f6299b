"""The real Label Studio server, started and watched."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from aftertone.demo.errors import DemoError
from aftertone.demo.processes import Child, Processes

START_SECONDS = 480.0  # the first start migrates an empty database: 28 s on two cores, minutes on busy ones
SETTINGS = {
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    # Both are needed for a backend on this machine: the first lets it connect, the second lets webhooks reach it.
    "ML_BLOCK_LOCAL_IP": "false",
    "SSRF_PROTECTION_ENABLED": "false",
    # A clip that someone opened and left goes back to the queue after ten minutes instead of a day.
    "TASK_LOCK_TTL": "600",
    # Nothing here phones home.
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A Label Studio that answers."""

    url: str  # http://127.0.0.1:<port>
    documents: Path  # folder whose subfolders a project may serve audio from
    child: Child = field(repr=False)


def start_label_studio(
    processes: Processes, command: Path, folder: Path, *, port: int, email: str, password: str, secret_key: str
) -> RunningServer:
    """Start the server on 127.0.0.1:`port` with its data in `folder` and return when it answers.

    Args:
        email: of the account that the first start makes and later ones find; `password` likewise.
        secret_key: what it signs tokens with; "" for one that it keeps itself.

    Raises:
        DemoError: the server ends, doesn't answer in time, or finds the port taken.
    """
    url, documents = f"http://127.0.0.1:{port}", folder / "documents"
    arguments, environment = server_command(
        command, folder, port=port, email=email, password=password, secret_key=secret_key
    )
    child = processes.start("Label Studio", arguments, environment)
    child.wait_until_up(url, START_SECONDS)
    if f"Port {port} is in use" in child.printed():  # it then tries the next one, and somebody else answered us
        raise DemoError(
            f"Another program took port {port} just now. Run the same command again: it takes another port."
        )
    return RunningServer(url=url, documents=documents, child=child)


def server_command(
    command: Path, folder: Path, *, port: int, email: str, password: str, secret_key: str
) -> tuple[list[str | Path], dict[str, str]]:
    """Command line and environment of a server as `start_label_studio` starts it; its folders are made."""
    data, documents = folder / "data", folder / "documents"
    for needed in (data, documents):
        needed.mkdir(parents=True, exist_ok=True)
    environment = {
        "LABEL_STUDIO_HOST": f"http://127.0.0.1:{port}",
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": email,
        "LABEL_STUDIO_PASSWORD": password,
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(documents),
        **SETTINGS,
    }
    if secret_key:
        environment["SECRET_KEY"] = secret_key
    return [command, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)], environment


def free_port(preferred: int | None = None) -> int:
    """`preferred` if nobody listens there, else a port that was free a moment ago."""
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("No free port on 127.0.0.1: end some programs that listen there and try again.")
