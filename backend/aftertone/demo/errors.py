"""What can go wrong in a demo."""

from aftertone_model.errors import AftertoneError


class DemoError(AftertoneError):
    """The demo can't go on. The message says what happened and what to do; what was made stays for the next start."""
