"""Why Label Studio refused something, in words for people."""

import httpx


def is_page(reply: httpx.Response) -> bool:
    """Whether a page of HTML was answered, which nothing of Label Studio's API is."""
    return "html" in reply.headers.get("content-type", "") or reply.text.lstrip().startswith("<")


def reason_of(reply: httpx.Response) -> str:
    """What an answer with an error status gives as its reason."""
    if reply.is_redirect:
        return f"it has moved to {reply.headers.get('location')}, which LABEL_STUDIO_URL should name"
    if is_page(reply):
        return reply.reason_phrase
    try:
        body = reply.json()
    except ValueError:
        body = reply.text
    said = (body.get("validation_errors") or body.get("detail") or body) if isinstance(body, dict) else body
    return str(said)[:500]


def token_advice(reason: str, url: str) -> str:
    """What to do about a token that the Label Studio at `url` doesn't take."""
    if "legacy token" in reason:
        return (
            "LABEL_STUDIO_API_KEY is a legacy token, and this Label Studio has legacy tokens switched off. Set a "
            "personal access token instead (Account & Settings > Personal Access Token), or switch legacy tokens on "
            "(Organization > API Tokens)."
        )
    if "wrong type" in reason:
        return (
            "LABEL_STUDIO_API_KEY is a short-lived access token. Set the personal access token that it was made from."
        )
    return (
        f"Label Studio at {url} refuses LABEL_STUDIO_API_KEY ({reason}). Create a personal access token there "
        "(Account & Settings > Personal Access Token) and set it."
    )
