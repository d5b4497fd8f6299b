"""Whether a server that was just started answers."""

import time

import httpx

from aftertone.demo.errors import DemoError
from aftertone.demo.processes import Child


def wait_until_up(child: Child, url: str, seconds: float) -> None:
    """Returns once GET `url`/health succeeds. Raises DemoError when `child` ends, or after `seconds`."""
    deadline = time.monotonic() + seconds
    with httpx.Client(timeout=2.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            child.check()
            try:
                if http.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.2)
    raise DemoError(
        f"{child.name} did not answer at {url} within {seconds:.0f} s. Its last lines:\n{child.tail()}\n"
        f"The whole log is {child.log}. Another program may have taken the port: run the same command again."
    )
