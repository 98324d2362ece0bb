"""What is to be thought of a bucket's settings: pure functions over what the store has told.

Rules of a life cycle: https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .bucket import Settings, Unknown

Rule = dict[str, Any]

MOST_DAYS = 7  # after which an upload that was broken off is gone
# Classes from which an object has to be asked back, for hours, before it can be read.
ASLEEP = {"GLACIER", "DEEP_ARCHIVE"}


class Grade(StrEnum):
    """How good a setting is; the worst first."""

    WRONG = "wrong"  # somebody has to change it
    UNKNOWN = "unknown"  # the store does not tell it
    NOTED = "noted"  # neither needed nor in the way; it costs something
    GOOD = "good"


@dataclass(frozen=True)
class Finding:
    """One setting: what it is, and what is to be done where it is wrong or not known."""

    setting: str
    grade: Grade
    text: str
    remedy: str = ""


def judge(settings: Settings, prefix: str) -> list[Finding]:
    """Return a finding for each setting that matters to objects below ``prefix``."""
    return [
        _encryption(settings),
        _uploads(settings, prefix),
        _deletion(settings, prefix),
        _versions(settings, prefix),
        _lock(settings),
    ]


def overall(findings: list[Finding]) -> Grade:
    """Return the worst of all; what is only noted is good."""
    grades = {one.grade for one in findings}
    return next((grade for grade in (Grade.WRONG, Grade.UNKNOWN) if grade in grades), Grade.GOOD)


def _encryption(settings: Settings) -> Finding:
    name, found = "Default encryption", settings.encryption
    if isinstance(found, Unknown):
        return _unknown(name, found, "Look there yourself whether the bucket encrypts what is stored.")
    kinds = [one.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for one in _rules(found)]
    if any(kinds):
        return Finding(name, Grade.GOOD, f"what is stored is encrypted ({kinds[0]})")
    return Finding(
        name,
        Grade.WRONG,
        "the bucket does not encrypt by default; what Loomworks stores is encrypted before it is sent",
        "Set a default encryption: aws s3api put-bucket-encryption … SSEAlgorithm=AES256.",
    )


def _rules(found: Any) -> list[Rule]:
    return list((found or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", ()))


def _uploads(settings: Settings, prefix: str) -> Finding:
    name = "Uploads that broke off"
    if isinstance(settings.lifecycle, Unknown):
        return _unknown(name, settings.lifecycle, f"Have a rule abort incomplete uploads after {MOST_DAYS} days.")
    days = [
        one["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation", 0)
        for one in _active(settings)
        if "AbortIncompleteMultipartUpload" in one and _covers(one, prefix)
    ]
    if days and min(days) <= MOST_DAYS:
        return Finding(name, Grade.GOOD, f"are removed after {min(days)} day(s)")
    found = f"are kept for {min(days)} days" if days else "stay, and are paid for, and no list shows them"
    return Finding(
        name,
        Grade.WRONG,
        found,
        "Add a rule to the bucket's life cycle for all objects: AbortIncompleteMultipartUpload, DaysAfterInitiation 1.",
    )


def _deletion(settings: Settings, prefix: str) -> Finding:
    name = "Deletion by the store"
    if isinstance(settings.lifecycle, Unknown):
        return _unknown(name, settings.lifecycle, f"Make sure that no rule expires or moves objects below {prefix}.")
    harms = [harm for one in _active(settings) if _meets(one, prefix) for harm in _harms(one)]
    if not harms:
        return Finding(name, Grade.GOOD, f"no rule takes away what is below {prefix}")
    return Finding(
        name,
        Grade.WRONG,
        "; ".join(harms),
        f"Remove that rule, or give it a prefix other than {prefix}: Loomworks removes what nothing needs by itself.",
    )


def _harms(rule: Rule) -> Iterator[str]:
    """Tell in words what a rule does to objects that are needed."""
    name, expiration = rule.get("ID") or "without a name", rule.get("Expiration", {})
    if "Days" in expiration:
        yield f"the rule “{name}” deletes objects after {expiration['Days']} day(s), needed or not"
    elif "Date" in expiration:
        yield f"the rule “{name}” deletes objects on {str(expiration['Date'])[:10]}, needed or not"
    for one in rule.get("Transitions", ()):
        if one.get("StorageClass") in ASLEEP:
            yield f"the rule “{name}” moves objects to {one['StorageClass']}, where a restore cannot read them"


def _versions(settings: Settings, prefix: str) -> Finding:
    name, found = "Versions", settings.versioning
    if isinstance(found, Unknown):
        return _unknown(name, found, "Nothing depends on it.")
    if (found or {}).get("Status") != "Enabled":
        return Finding(name, Grade.GOOD, "are not kept, and are not needed")
    days = [
        one["NoncurrentVersionExpiration"].get("NoncurrentDays")
        for one in ([] if isinstance(settings.lifecycle, Unknown) else _active(settings))
        if "NoncurrentVersionExpiration" in one and _covers(one, prefix)
    ]
    if days:
        return Finding(name, Grade.NOTED, f"of removed objects are kept for {days[0]} day(s)")
    return Finding(
        name,
        Grade.NOTED,
        "of removed objects are kept for ever: the bucket only grows",
        "Add a rule with NoncurrentVersionExpiration, in as many days as you want to be able to go back.",
    )


def _lock(settings: Settings) -> Finding:
    name, found = "Object lock", settings.lock
    if isinstance(found, Unknown):
        return _unknown(name, found, "Nothing depends on it.")
    held = ((found or {}).get("ObjectLockConfiguration", {}).get("Rule") or {}).get("DefaultRetention")
    if not held:
        return Finding(name, Grade.GOOD, "holds nothing by default")
    time = f"{held['Days']} day(s)" if "Days" in held else f"{held.get('Years')} year(s)"
    return Finding(name, Grade.NOTED, f"keeps each object for {time} ({held.get('Mode')}), removed or not")


def _unknown(setting: str, found: Unknown, remedy: str) -> Finding:
    return Finding(setting, Grade.UNKNOWN, found.reason, remedy)


def _active(settings: Settings) -> list[Rule]:
    return [one for one in (settings.lifecycle or {}).get("Rules", ()) if one.get("Status") == "Enabled"]


def _filter(rule: Rule) -> dict[str, Any]:
    """Return what a rule asks of objects, in one form of the four that there are."""
    asked = rule.get("Filter") or {}
    return {"Prefix": rule.get("Prefix", ""), **asked, **asked.get("And", {})}


def _covers(rule: Rule, prefix: str) -> bool:
    """Tell whether a rule holds for all objects below ``prefix``."""
    asked = _filter(rule)
    narrow = any(name in asked for name in ("Tag", "Tags", "ObjectSizeGreaterThan", "ObjectSizeLessThan"))
    return not narrow and prefix.startswith(asked["Prefix"])


def _meets(rule: Rule, prefix: str) -> bool:
    """Tell whether a rule may hold for an object below ``prefix``; those of Loomworks carry no tags."""
    asked = _filter(rule)
    if "Tag" in asked or asked.get("Tags"):
        return False
    return prefix.startswith(asked["Prefix"]) or asked["Prefix"].startswith(prefix)
