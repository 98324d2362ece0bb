"""The programs that a backup of files is compared with, and our own, each as a person would run it, measured alike."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = REPOSITORY / "infrastructure/docker/odoo/bin/loomworks-filestore"
KIBIBYTE = 1024


@dataclass(frozen=True)
class Run:
    """What a program took: seconds of the clock and of the processors, the most memory in bytes, its last line."""

    seconds: float
    processor: float
    memory: int
    said: str

    @property
    def report(self):
        """What ``loomworks-filestore`` reports at its end."""
        return json.loads(self.said)["report"]


def run(argv, environment):
    """Run a program to its end; raise CalledProcessError with what it said when it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        list(map(str, argv)), env={"PATH": os.environ["PATH"], **environment}, stdout=subprocess.PIPE, text=True
    )
    last = ""
    for line in process.stdout:
        last = line
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv, last)
    seconds = time.monotonic() - began
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIBIBYTE, last)


class Rclone:
    """``rclone sync``: an object a file, not encrypted."""

    name = "rclone"
    options = ("--fast-list", "--transfers=16", "--checkers=16")

    def __init__(self, s3, bucket, home):
        self._remote = f"s3:{bucket}/rclone"
        self._environment = {
            "HOME": str(home),
            "RCLONE_CONFIG": str(home / "rclone.conf"),
            "RCLONE_CA_CERT": str(s3.ca_file),
            "RCLONE_CONFIG_S3_TYPE": "s3",
            "RCLONE_CONFIG_S3_PROVIDER": "Other",
            "RCLONE_CONFIG_S3_ENDPOINT": s3.endpoint,
            "RCLONE_CONFIG_S3_ACCESS_KEY_ID": s3.key,
            "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": s3.key_secret,
        }
        (home / "rclone.conf").touch()

    def back_up(self, folder, _round):
        """Have the bucket be like the folder."""
        return run(["rclone", "sync", *self.options, folder, self._remote], self._environment)

    def restore(self, folder, _round):
        """Have the folder be like the bucket."""
        return run(["rclone", "sync", *self.options, self._remote, folder], self._environment)


class Restic:
    """``restic``: packs, encrypted, with a cache of its own."""

    name = "restic"

    def __init__(self, s3, bucket, home):
        self._options = ["--quiet", "--cacert", s3.ca_file, "--cache-dir", home / "restic"]
        self._environment = {
            "HOME": str(home),
            "RESTIC_REPOSITORY": f"s3:{s3.endpoint}/{bucket}/restic",
            "RESTIC_PASSWORD": "benchmark",
            "AWS_ACCESS_KEY_ID": s3.key,
            "AWS_SECRET_ACCESS_KEY": s3.key_secret,
        }
        run(["restic", "init", *self._options], self._environment)

    def back_up(self, folder, _round):
        """Make a snapshot of the folder."""
        return run(["restic", "backup", *self._options, folder], self._environment)

    def restore(self, folder, _round):
        """Restore the newest snapshot below the folder."""
        return run(["restic", "restore", "latest", *self._options, "--target", folder], self._environment)


class Ours:
    """``loomworks-filestore``, the program that the Jobs run."""

    name = "ours"

    def __init__(self, location, key, request):
        """Take ``request(command, manifest, folder)``, which returns a Request's JSON."""
        self._request = request
        self._environment = {
            "LOOMWORKS_ADDONS": str(REPOSITORY),
            "LOOMWORKS_FILESTORE_KEY": key.text,
            **location.to_environment(),
        }

    def back_up(self, folder, name):
        """Back the folder up under a manifest's name."""
        return self._run("backup", name, folder)

    def restore(self, folder, name):
        """Restore a manifest into the folder."""
        return self._run("restore", name, folder)

    def check(self, name):
        """Check a manifest's objects and a sample of their contents."""
        return self._run("check", name, "")

    def collect(self, tenant):
        """Remove what no manifest names."""
        environment = {**self._environment, "PYTHONPATH": str(REPOSITORY / "tests")}
        return run([sys.executable, REPOSITORY / "benchmarks/collector.py", tenant], environment)

    def _run(self, command, name, folder):
        environment = {**self._environment, "LOOMWORKS_FILESTORE": self._request(command, name, folder)}
        return run([sys.executable, PROGRAM], environment)
