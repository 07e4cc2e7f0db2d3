"""What can be told from an address: who is there, who can reach it, who can listen.

Pure: no name is looked up and nothing is asked.
"""

import ipaddress
from urllib.parse import SplitResult

_AZURE_HOSTS = (
    ".openai.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
)
_BASES = {"api.openai.com": "/v1", "twilio.com": ""}
"""Where the vendors' own APIs begin."""
_NOBODYS = tuple(
    ipaddress.ip_network(net)
    # Ways to IPv4 through IPv6, and a net of protocols where a cloud keeps its metadata
    # (192.0.0.192): some of them Python 3.11 takes for global.
    for net in (
        *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96"),
        "192.0.0.0/24",
    )
)


def fault_of_base(parts: SplitResult) -> str | None:
    """Why no API begins at ``parts``, as the end of a sentence; None where one may."""
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if on_azure(parts) and path != "/openai/v1":
        return (
            "must end in /openai/v1 on Azure:"
            " the addresses of its dated previews are not supported."
        )
    if path.endswith("/realtime"):
        return 'must be the base of the API: remove "/realtime" from its end.'
    for vendor, base in _BASES.items():
        if f".{host}".endswith(f".{vendor}") and (parts.scheme, path) != ("https", base):
            return f'must be "https://{parts.netloc}{base}" on {vendor}.'
    return None


def is_public(host: str) -> bool:
    """Whether ``host`` can mean anything to a computer that is not in this house."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local"))


def leads_outside(address: str, *, loopback: bool = False) -> bool:
    """Whether a connection to this IP address cannot end in this house, nor on the way there.

    ``loopback``: this machine counts as outside, too. False for what is no address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_loopback:
        return loopback
    through = any(found in net for net in _NOBODYS if net.version == found.version)
    return found.is_global and not found.is_multicast and not through


def in_clear(parts: SplitResult) -> bool:
    """Whether what is sent there crosses a network unencrypted."""
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def on_azure(parts: SplitResult) -> bool:
    """Whether the model there is served by Azure."""
    return (parts.hostname or "").endswith(_AZURE_HOSTS)
