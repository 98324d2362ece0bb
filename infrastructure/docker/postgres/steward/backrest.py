"""pgBackRest, as a program: its commands, and what their output means."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

STANZA = "main"
MESSAGE_SIZE = 4000  # characters of output that are kept
TERMINATION = 10  # seconds until a program that was asked to end is killed
NEW_LABEL = re.compile(r"new backup label = (\S+)")
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ P\d+ +(?:INFO: |DETAIL: )?")
SOUND = re.compile(r"^status: ok$", re.MULTILINE)  # these three: in the report of verify
INVALID_BACKUP = "invalid, total"
VALID_BACKUP = re.compile(r"^  backup: \S+, status: valid, .*\n(?:    .*\n)*", re.MULTILINE)
UNREADABLE = 99  # status code of a repository that info could not read
UNSOUND, REFUSED = 1, 2  # exit codes of our own; pgBackRest's begin at 25


class RepositoryError(Exception):
    """The repository could not be read; ``str`` is pgBackRest's word."""


@dataclass(frozen=True)
class Outcome:
    """What came of one piece of work; ``exit_code`` 0 means done."""

    exit_code: int
    message: str
    label: str | None = None


class Backrest:
    """Runs pgBackRest, one command at a time."""

    def __init__(self, program: str = "pgbackrest") -> None:
        self._program = program
        self._running: subprocess.Popen[str] | None = None

    def stanza_create(self) -> Outcome:
        """Make the stanza; one that is there already is fine."""
        return self._run("stanza-create")

    def check(self) -> Outcome:
        """See that a segment reaches the repository."""
        return self._run("check")

    def backup(self, kind: str) -> Outcome:
        """Make a base backup of the type ``full``, ``diff`` or ``incr``."""
        return self._run(f"--type={kind}", "backup")

    def verify(self) -> Outcome:
        """Read the whole repository and compare checksums; the message leaves out backups in which all is valid."""
        code, output, _ = self._execute("--output=text", "--verbose", "verify", stderr=subprocess.STDOUT)
        # pgBackRest ends with 0 whatever it found; only the text says it.
        sound = SOUND.search(output) and INVALID_BACKUP not in output
        return Outcome(code if sound or code else UNSOUND, shortened(VALID_BACKUP.sub("", output)))

    def expire(self, label: str) -> Outcome:
        """Remove a backup with all that depend on it, and the WAL from before the oldest full backup that is left.

        WAL goes only when exactly as many full backups are to keep theirs as there are: with a larger number none
        goes, with a smaller one pgBackRest tears holes between them.
        """
        left = fulls(self.info()) - {label}
        if not left:
            return Outcome(REFUSED, f"{label} is the last full backup, so it stays")
        archive = f"--repo1-retention-archive={len(left)}"
        return self._run(f"--set={label}", archive, "--log-level-console=info", "expire")

    def info(self) -> list[dict[str, Any]]:
        """Return what ``info`` says of the stanza.

        :raises RepositoryError: when the repository cannot be read; pgBackRest ends with 0 then, too
        """
        # Warnings go to the other stream.
        code, text, errors = self._execute("--output=json", "--log-level-console=off", "info", stderr=subprocess.PIPE)
        if code:
            raise RepositoryError(shortened(errors))
        return read_info(text)

    def size(self, part: str) -> int:
        """Return the bytes that the files of ``backup`` or ``archive`` take in the repository.

        :raises RepositoryError: when the repository cannot be read
        """
        listing = ("--recurse", "--output=json", "--log-level-console=off", "repo-ls", f"{part}/{STANZA}")
        code, text, errors = self._execute(*listing, stderr=subprocess.PIPE, stanza=False)
        if code:
            raise RepositoryError(shortened(errors))
        return sum(entry.get("size", 0) for entry in json.loads(text).values())

    def stop(self) -> None:
        """End what is running."""
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(TERMINATION)
        except subprocess.TimeoutExpired:
            self._running.kill()

    def _run(self, *arguments: str) -> Outcome:
        code, output, _ = self._execute(*arguments, stderr=subprocess.STDOUT)
        label = NEW_LABEL.search(output)
        return Outcome(code, shortened(output), label[1] if label else None)

    def _execute(self, *arguments: str, stderr: int, stanza: bool = True) -> tuple[int, str, str]:
        command = [self._program, *([f"--stanza={STANZA}"] if stanza else []), *arguments]
        self._running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        output, errors = self._running.communicate()
        code, self._running = self._running.returncode, None
        return code, output, errors


def read_info(text: str) -> list[dict[str, Any]]:
    """Return the parsed output of ``info``.

    :raises RepositoryError: when it tells of a repository that could not be read
    """
    try:
        stanzas: list[dict[str, Any]] = json.loads(text)
    except ValueError as error:
        raise RepositoryError(shortened(text)) from error
    for stanza in stanzas:
        for repository in stanza.get("repo", []):
            if repository["status"]["code"] == UNREADABLE:
                raise RepositoryError(shortened(repository["status"]["message"]))
    return stanzas


def fulls(stanzas: list[dict[str, Any]]) -> set[str]:
    """Return the labels of the full backups."""
    return {backup["label"] for stanza in stanzas for backup in stanza["backup"] if backup["type"] == "full"}


def shortened(output: str) -> str:
    """Return the last lines of ``output`` without times and process numbers."""
    lines = [PREFIX.sub("", line.rstrip()) for line in output.splitlines()]
    return "\n".join(line for line in lines if " command begin " not in line)[-MESSAGE_SIZE:].strip()
