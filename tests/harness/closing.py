"""What came of all runs: coverage of engines and of the rest, the tests that failed, and the closing line."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

from . import time_left

# What is thin code on Odoo's models; all else in an addon is an engine.
MODEL_FOLDERS = ("models", "wizards", "controllers")
ADDON_ITSELF = "*/loomworks_*/__init__.py"  # neither
ENGINES_MINIMUM = 90  # percent
REST_MINIMUM = 80  # percent
FAILED = {"failure", "error"}  # tags of a test's report
LAST_LINES = 12  # of what a failed test's report says


def coverage(reports: Path) -> bool:
    """Report the coverage of all runs together, and tell whether it is as high as it has to be."""
    files = sorted(str(path) for path in reports.glob("coverage.*"))
    if not files:
        return True
    data = f"--data-file={reports / '.coverage'}"
    _coverage("combine", "-q", "--keep", data, *files)
    _coverage("xml", "-q", data, "-o", str(reports / "coverage-report.xml"))
    models = ",".join(f"*/{name}/*" for name in MODEL_FOLDERS)
    print("\n== coverage: engines ==", flush=True)
    engines = _coverage("report", data, f"--omit={models},{ADDON_ITSELF}", f"--fail-under={ENGINES_MINIMUM}")
    print("\n== coverage: models, wizards, controllers ==", flush=True)
    rest = _coverage("report", data, f"--include={models}", f"--fail-under={REST_MINIMUM}")
    return engines and rest


def record_death(reports: Path, suite: str, code: int) -> None:
    """Leave a report for a run of pytest that ended without one: its failure must be counted, too."""
    case = f'<testcase name="{suite}"><error message="pytest ended with {code} and left no report"/></testcase>'
    (reports / f"{suite}.xml").write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")


def line(reports: Path) -> str:
    """Return the closing line: how many tests passed, failed and were skipped in all runs."""
    count = Counter()
    for path in reports.glob("*.xml"):
        count.update(_outcomes(path))
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    return f"{count['passed']} passed, {count['failed']} failed{skipped}"


def failures(reports: Path) -> str:
    """Return which tests failed and how each ended: a run says it long before its end, and a log may be cut."""
    return "\n".join(
        f"\nFAILED {path.stem}: {case.get('classname') or ''}::{case.get('name')}\n{_last_words(case)}"
        for path in sorted(reports.glob("*.xml"))
        for case in ET.parse(path).iter("testcase")
        if _outcome(case) == "failed"
    )


def left_out(reports: Path) -> list[str]:
    """Return the tests for which no time was left."""
    return [
        f"{path.stem}: {case.get('classname') or ''}::{case.get('name')}"
        for path in sorted(reports.glob("*.xml"))
        for case in ET.parse(path).iter("testcase")
        if any(time_left.REASON in (child.get("message") or "") for child in case.iter("skipped"))
    ]


def _last_words(case: ET.Element) -> str:
    texts = [child.text or child.get("message") or "" for child in case if child.tag in FAILED]
    return "\n".join("\n".join(text.splitlines()[-LAST_LINES:]) for text in texts)


def _outcomes(path: Path) -> Counter:
    return Counter(_outcome(case) for case in ET.parse(path).iter("testcase"))


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & FAILED else "skipped" if "skipped" in tags else "passed"


def _coverage(*arguments: str) -> bool:
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], check=False).returncode == 0
