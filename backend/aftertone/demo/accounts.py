"""Label Studio accounts, made without a browser."""

from dataclasses import dataclass, field

import httpx

from aftertone.demo.errors import DemoError
from aftertone.demo.session import TIMEOUT, Session


@dataclass(frozen=True, kw_only=True)
class Account:
    """Someone who may sign in."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)  # Personal Access Token; Label Studio shows it once, so it has to be kept


def open_account(url: str, email: str, password: str, *, invitation: str | None = None) -> Account:
    """Signs in, or signs up with `invitation` (Label Studio's invite token), and has a Personal Access Token made.

    Raises DemoError when Label Studio takes neither, or has already given the account a token.
    """
    with httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False) as http:
        form = {"email": email, "password": password}
        if invitation is None:
            _submit(http, "/user/login/", form, {})
        else:
            _submit(http, "/user/signup/", form, {"token": invitation})
        answer = http.post("/api/token/", headers={"X-CSRFToken": http.cookies["csrftoken"], "Referer": url})
        if answer.is_error:
            raise DemoError(
                f"Label Studio gave {email} no access token (status {answer.status_code}: {answer.text[:200]}). "
                "Remove the demo's folder and start it again."
            )
        return Account(email=email, password=password, token=answer.json()["token"])


def invitation(admin: Session) -> str:
    """The invite token with which people join the organization of `admin`."""
    return str(admin.get("/api/invite")["token"])


def _submit(http: httpx.Client, path: str, form: dict[str, str], params: dict[str, str]) -> None:
    """Fills in a page's form as a browser would; a page that comes back instead of a redirect is a refusal."""
    http.get(path, params=params).raise_for_status()
    answer = http.post(
        path,
        params=params,
        data={**form, "csrfmiddlewaretoken": http.cookies["csrftoken"]},
        headers={"Referer": str(http.base_url)},
    )
    if answer.status_code != 302:
        raise DemoError(
            f"Label Studio did not let {form['email']} in at {path} (status {answer.status_code}). "
            "Remove the demo's folder and start it again."
        )
