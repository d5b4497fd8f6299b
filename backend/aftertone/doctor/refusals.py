"""What Label Studio itself says when a backend can't be connected, with the cures that it doesn't name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One of its messages."""

    when: str
    text: str  # as Label Studio 1.23 shows it
    cure: str


ADDRESSES = (
    "Label Studio refuses private addresses. Start it with `USE_DEFAULT_BANNED_SUBNETS=false`, to which "
    "`USER_ADDITIONAL_BANNED_SUBNETS=169.254.0.0/16` may be added; or with both `ML_BLOCK_LOCAL_IP=false` and "
    "`SSRF_PROTECTION_ENABLED=false`."
)

REFUSALS = (
    Refusal(
        when="Connect Model",
        text="URL resolves to a reserved network address (block: 127.0.0.0/8)",
        cure=f"{ADDRESSES} Nothing of the backend was asked yet.",
    ),
    Refusal(
        when="Connect Model says 403, yet the model appears as Connected, once more with each try",
        text="URL resolves to a reserved network address (block: ...)",
        cure="Only one of the two switches is set: predictions work, but no webhook is stored. Set "
        "`USE_DEFAULT_BANNED_SUBNETS=false`, delete all of those models and connect one.",
    ),
    Refusal(
        when="The backend doesn't answer within a second, or isn't there",
        text="Can't connect to ML backend ...",
        cure="Start `aftertone serve`, and give its address as Label Studio's machine sees it: inside a container, "
        "localhost is the container itself. For another machine, set HOST.",
    ),
    Refusal(
        when="A password is set",
        text="Able to connect to ML Server, but authentication parameters ...",
        cure="Give BASIC_AUTH_USER and BASIC_AUTH_PASS with the model's connection (Basic authentication).",
    ),
    Refusal(
        when="The project can't be used as it is, or its options can't",
        text="Successfully connected to ... but it doesn't look like a valid ML backend. Reason: ...",
        cure="The reason names an address of this backend and a status. The server's log, and `aftertone status`, say "
        "what doesn't fit: usually a label config without a question that can be learned, or wrong extra params.",
    ),
    Refusal(
        when="The address can't be found",
        text="Can't resolve hostname",
        cure="Label Studio's machine doesn't know that name. In Compose, use the service's name, and put both "
        "containers on one network.",
    ),
    Refusal(
        when="A token of the older kind",
        text="Authentication token no longer valid: legacy token authentication has been disabled ...",
        cure="Use a personal access token (Account & Settings > Personal Access Token), or switch legacy tokens on "
        "(Organization > API Tokens).",
    ),
    Refusal(
        when="Start Training",
        text="Response: {}",
        cure="Nothing is wrong: the training was asked for. `aftertone status` says how far it is.",
    ),
)
