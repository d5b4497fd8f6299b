"""Starting the server: ports, and a port that somebody else took."""

import socket
from pathlib import Path

import pytest

from aftertone.demo.errors import DemoError
from aftertone.demo.processes import Child, Processes
from aftertone.demo.server import free_port, start_label_studio


def test_a_preferred_port_is_kept_while_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port


def test_another_server_on_the_port_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "label-studio"
    command.write_text("#!/bin/sh\necho '* Port 8123 is in use.'\nexec sleep 60\n")
    command.chmod(0o700)

    def wait_for_the_line(child: Child, _url: str, _seconds: float) -> None:
        while not child.printed():
            pass

    monkeypatch.setattr(Child, "wait_until_up", wait_for_the_line)
    processes = Processes(tmp_path)
    try:
        with pytest.raises(DemoError, match="took port 8123"):
            start_label_studio(
                processes, command, tmp_path, port=8123, email="a@example.com", password="p", secret_key="k"
            )
    finally:
        processes.end()
