"""Reading what the page's forms send."""

from urllib.parse import parse_qs

from starlette.requests import Request

from aftertone.doctor.disk import size as told
from aftertone_model.errors import AftertoneError

BODY, FIELDS = 10_000, 200  # bytes, and fields, of a form
UPLOAD = 20_000_000  # bytes of an audio file that is searched by: 100 s at 48 kHz in stereo
UNREAD_FROM = 10 * UPLOAD  # bytes of a form, from which on no more of it is read


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form by name; several of one name side by side.

    Raises:
        AftertoneError: it is too large.
    """
    sent = await body(request, BODY)
    try:
        found = parse_qs(sent.decode("utf-8", "replace"), max_num_fields=FIELDS)
    except ValueError:
        raise AftertoneError(f"The form has more than {FIELDS} fields. Choose fewer clips at a time.") from None
    return {name: " ".join(values) for name, values in found.items()}


async def body(request: Request, limit: int) -> bytes:
    """A form's body, of at most so many bytes.

    More is read and thrown away, up to `UNREAD_FROM`, since a browser shows no answer before it has sent everything.

    Raises:
        AftertoneError: it is larger.
    """
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            kept += chunk
        elif size > UNREAD_FROM:
            break
        else:
            kept.clear()
    if size > limit:
        raise AftertoneError(f"What was sent is too large; the limit is {told(limit)}.")
    return bytes(kept)
