"""The page of metrics, made from the collectors: `python -m aftertone.server.metrics_docs > docs/metrics.md`."""

from aftertone.server.metrics import OF_PROJECTS, OF_SERVER, REQUESTS, Family


def guide() -> str:
    """The page as Markdown; docs/metrics.md is this text."""
    rows = "\n".join(map(_row, (*OF_SERVER, *OF_PROJECTS, REQUESTS)))
    return f"""# Metrics and logs

## `/metrics`

`aftertone serve` answers Prometheus at `/metrics`. A Prometheus on another machine, or in another container, needs
BASIC_AUTH_USER and BASIC_AUTH_PASS to be set here and gives them. Without them only this machine itself may ask, at
`localhost` or 127.0.0.1, as for the [status page](status-page.md#who-may-see-it):

```yaml
scrape_configs:
  - job_name: aftertone
    basic_auth: {{username: NAME, password: PASSWORD}}
    static_configs: [{{targets: ["localhost:9090"]}}]
```

Of projects only their numbers are labels: no title, no address, no person.

| metric | labels | what it is |
| --- | --- | --- |
{rows}

The states of clips are those of [predictions](predictions.md).

## Logs

Both commands log to standard error: with LOG_FORMAT=text a line for people, with `json` an object per line for
collectors. Each object has `time`, `level`, `logger`, `message`; `action` names what happened, such as
`round_published`; whatever a worker logs during a job has `project`, and during a step `round`.

No line holds a token or a password that Aftertone knows, or what comes after the `?` of an address, whoever wrote it:
user names, passwords and signatures are taken out of addresses in messages and tracebacks. Of Label Studio's addresses
of local files and of storage (`?d=`, `?fileuri=`) what names the file stays, without the signature that it may hold
itself, encoded or not. Of requests that fail, at most 60 a minute are logged, and six of them with their traceback.
"""


def _row(family: Family) -> str:
    name, text, labels = family
    return f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} | {text} |"


if __name__ == "__main__":
    print(guide(), end="")
