"""Who calls the server: this machine itself, or somebody on another one."""

import ipaddress

from starlette.requests import Request

OF_PROXIES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def of_this_machine(request: Request) -> bool:
    """Whether the caller is on this machine, and doesn't speak for others, as a proxy does."""
    if request.client is None or any(name in request.headers for name in OF_PROXIES):
        return False
    return is_loopback(request.client.host)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
