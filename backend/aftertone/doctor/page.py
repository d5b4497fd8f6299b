"""The page of troubles, made from the checks: `python -m aftertone.doctor.page > docs/troubleshooting.md`."""

from aftertone.doctor.check import Check
from aftertone.doctor.refusals import REFUSALS
from aftertone.doctor.registry import CHECKS

GROUPS = {"problem": "Problems", "warning": "Warnings", "note": "Notes"}
ABOUT = {
    "problem": "Something doesn't go on until a person does something. `aftertone doctor` exits with 2.",
    "warning": "It goes on, but worse than it could.",
    "note": "Worth knowing; nobody has to do anything.",
}


def guide() -> str:
    """The page as Markdown; docs/troubleshooting.md is this text."""
    groups = "\n".join(f"## {title}\n\n{ABOUT[severity]}\n\n{_table(severity)}" for severity, title in GROUPS.items())
    said = "\n".join(f"| {row.when} | `{row.text}` | {row.cure} |" for row in REFUSALS)
    return f"""# Troubleshooting

`aftertone doctor` asks Label Studio, Redis and this machine, and says what is wrong, why it matters and how to cure it;
`aftertone doctor PROJECT` looks at one project alone. Every look of a worker makes the same checks of its project, and
`aftertone status` shows what the last one found. `aftertone doctor --mend` mends what is marked with a \u2731; a worker
mends the order of the queue by itself.

## What Label Studio says

Label Studio shows these when a model is connected, and says little about the reason.

| when | it says | cure |
| --- | --- | --- |
{said}

{groups}"""


def _table(severity: str) -> str:
    rows = "\n".join(_row(check) for check in CHECKS.values() if check.severity == severity)
    return f"| what | why it matters | cure |\n| --- | --- | --- |\n{rows}\n"


def _row(check: Check[object]) -> str:
    mark = " \u2731" if check.mend is not None else ""
    return f"| {check.title}{mark} (`{check.key}`) | {check.why} | {check.cure} |"


if __name__ == "__main__":
    print(guide(), end="")
