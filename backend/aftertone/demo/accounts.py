"""Label Studio accounts, made without a browser."""

import httpx
from pydantic import BaseModel, Field

from aftertone.demo.errors import DemoError
from aftertone.labelstudio.client import LabelStudio


class Account(BaseModel, frozen=True):
    """Someone who may sign in."""

    email: str
    password: str = Field(repr=False)
    token: str = Field(repr=False)  # personal access token; Label Studio shows it once, so it has to be kept


def open_account(url: str, email: str, password: str, *, invitation: str | None = None) -> Account:
    """Sign in, or sign up with an invitation, and have a personal access token made.

    Args:
        url: Label Studio's address.
        invitation: Label Studio's invite token, for somebody who has no account yet.

    Raises:
        DemoError: Label Studio takes neither, or has already given the account a token.
    """
    with httpx.Client(base_url=url, timeout=120.0, trust_env=False) as http:
        page, params = ("/user/signup/", {"token": invitation}) if invitation else ("/user/login/", {})
        # As a browser would: fetch the form, fill it in; a page that comes back instead of a redirect is a refusal.
        http.get(page, params=params).raise_for_status()
        form = {"email": email, "password": password, "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        answer = http.post(page, params=params, data=form, headers={"Referer": url})
        if answer.status_code == httpx.codes.FOUND:
            answer = http.post("/api/token/", headers={"X-CSRFToken": http.cookies["csrftoken"], "Referer": url})
            if answer.is_success:
                return Account(email=email, password=password, token=answer.json()["token"])
        raise DemoError(
            f"Label Studio gave {email} no access token ({answer.url.path} answered {answer.status_code}). "
            "Remove the demo's folder and start it again."
        )


def invitation(admin: LabelStudio) -> str:
    """The invite token with which people join the organization of `admin`."""
    return str(admin.get("/api/invite")["token"])
