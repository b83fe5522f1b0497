"""Running a suite of ``expectations/<table>.json`` on a frame.

Great Expectations drops what it does not know and then passes; here an unknown type, a suite parameter that
nobody gave and an expectation that raised are all failures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types import base

from tasks.errors import ContractError, unknown
from tasks.validation import expectations as ours

_SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Finding:
    """What one expectation said."""

    suite: str
    expectation: str
    subject: str
    severity: str
    success: bool
    observed: str
    why: str


@dataclass(frozen=True)
class SuiteResult:
    """Every finding of one suite on one table."""

    suite: str
    rows: int
    findings: tuple[Finding, ...]

    @property
    def failed_severity(self) -> str | None:
        """The worst severity among the failures; None where nothing failed."""
        return worst_severity(self.findings)


def worst_severity(findings: tuple[Finding, ...]) -> str | None:
    """Return the worst severity that failed; None where nothing did."""
    failed = [f.severity for f in findings if not f.success]
    return max(failed, key=_SEVERITIES.index) if failed else None


def load_suite(path: Path) -> dict[str, Any]:
    """Read a suite as JSON data.

    Raises
    ------
    ContractError
        No readable suite, or an expectation of an unknown type.
    """
    try:
        suite: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        types = [expectation["type"] for expectation in suite["expectations"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{path} is no expectation suite: {error}") from error
    known = gx.expectations.registry.list_registered_expectation_implementations()
    for kind in types:
        if kind not in known:
            raise ContractError(unknown("expectation", kind, known, where=path.name))
    return suite


def run_suite(suite: Mapping[str, Any], frame: pd.DataFrame, *, facts: Mapping[str, Any]) -> SuiteResult:
    """Validate a frame.

    Parameters
    ----------
    suite : as ``load_suite`` returned it.
    frame : the table.
    facts : a value for every suite parameter, plain JSON.
    """
    context = gx.get_context(project_config=_in_memory())
    built = context.suites.add(gx.ExpectationSuite(**suite))
    if len(built.expectations) != len(suite["expectations"]):
        raise ContractError(f"The suite '{suite['name']}' lost expectations while loading: it repeats one")
    asset = context.data_sources.add_pandas("frame").add_dataframe_asset(suite["name"])
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    result = batch.validate(built, expectation_parameters=dict(facts))
    findings = tuple(_finding(suite["name"], r) for r in result.to_json_dict()["results"])
    if len(findings) != len(suite["expectations"]):
        raise ContractError(
            f"The suite '{suite['name']}' ran {len(findings)} of {len(suite['expectations'])}"
        )
    return SuiteResult(suite["name"], len(frame), findings)


def _in_memory() -> Any:
    """Return a configuration that writes nothing, not even a temporary folder for a site."""
    return base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False),
    )


def _finding(suite: str, result: Mapping[str, Any]) -> Finding:
    config, raised = result["expectation_config"], _exception(result["exception_info"])
    kwargs = config["kwargs"]
    subject = kwargs.get("column") or ", ".join(kwargs.get("tasks") or kwargs.get("maturities") or ())
    return Finding(
        suite=suite,
        expectation=config["type"],
        subject=str(subject or "table"),
        severity="critical" if raised else config["severity"],
        success=bool(result["success"]) and not raised,
        observed=raised or _observed(result["result"]),
        why=str((config.get("meta") or {}).get("why", "")),
    )


def _exception(info: Mapping[str, Any]) -> str:
    """Return the message of an exception; the library nests it by metric in some cases."""
    if "raised_exception" in info:
        return str(info["exception_message"] or "raised") if info["raised_exception"] else ""
    return "; ".join(str(one["exception_message"]) for one in info.values() if one["raised_exception"])


def _observed(result: Mapping[str, Any]) -> str:
    if "observed_value" in result:
        value = result["observed_value"]
        if isinstance(value, dict) and "broken" in value:
            broken = ", ".join(f"{name}: {_figure(n)}" for name, n in value["broken"].items())
            examples = f" (for example {'; '.join(value['examples'])})" if value["examples"] else ""
            return f"{broken}{examples}" if broken else "none"
        return "" if value is None else str(value)
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} unexpected, {result.get('partial_unexpected_list', [])[:3]}"
    return ""


def _figure(number: float | None) -> str:
    return "no observed label" if number is None else f"{number:.6g}"


OWN_EXPECTATIONS = (
    ours.ExpectNoLabelObservedBeforeMaturity,
    ours.ExpectLabelValueOnlyWhenObserved,
    ours.ExpectConditionalLabelOnlyWhereParentPositive,
    ours.ExpectLabelStatusToHaveMeaning,
    ours.ExpectOneRowPerImpression,
    ours.ExpectBaseRatesWithinBounds,
)
"""Importing them registers them: a suite that names one must find it."""
