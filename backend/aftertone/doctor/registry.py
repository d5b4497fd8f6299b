"""Every check; docs/troubleshooting.md is printed from these. A new one belongs into one of the tuples named here."""

from collections.abc import Iterator
from typing import Any

from aftertone.doctor.check import Check
from aftertone.doctor.data_checks import DATA_CHECKS
from aftertone.doctor.facts import Look, Machine, Standing
from aftertone.doctor.machine_checks import MACHINE_CHECKS
from aftertone.doctor.queue_checks import QUEUE_CHECKS
from aftertone.doctor.standing_checks import STANDING_CHECKS
from aftertone.doctor.webhook_checks import WEBHOOK_CHECKS
from aftertone.store.records import Finding

ORDER = ("problem", "warning", "note")
PROJECT_CHECKS: tuple[Check[Look], ...] = (*DATA_CHECKS, *WEBHOOK_CHECKS, *QUEUE_CHECKS)
CHECKS: dict[str, Check[Any]] = {
    check.key: check for check in (*MACHINE_CHECKS, *STANDING_CHECKS, *WEBHOOK_CHECKS, *QUEUE_CHECKS, *DATA_CHECKS)
}


def examine(look: Look) -> list[Finding]:
    """What a person should know about a project, the most pressing first; empty when all is well."""
    project = look.snapshot.project
    return _sorted(finding for check in PROJECT_CHECKS for finding in check.findings(look, project))


def examine_standing(standing: Standing, project: int) -> list[Finding]:
    """Why a project can't be read or doesn't go on."""
    return _sorted(finding for check in STANDING_CHECKS for finding in check.findings(standing, project))


def examine_machine(machine: Machine) -> list[Finding]:
    """What is wrong with what all projects depend on."""
    return _sorted(finding for check in MACHINE_CHECKS for finding in check.findings(machine))


def _sorted(findings: Iterator[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))
