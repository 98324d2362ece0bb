"""What backups of a tenant's files and their restore take, against rclone and restic (build/bench/storage.jsonl).

On a real S3 over TLS without the cluster. Files have random content, as compressed pictures and PDFs look, under
Odoo's names; their sizes follow a log-normal distribution (see ``SIZES``), which is an assumption and not a survey. All
programs read the same files from the memory and write to the same server on the same disk, one after another.

300,000 files of these sizes are 14 GiB, of which five copies are needed. ``--median 4`` makes them as many and a
quarter as large, which fits a smaller machine; ``--tree`` says where they are, such as on a tmpfs, and lets them stay.
"""

import argparse
import hashlib
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import Figures
from harness import engines
from peers import Ours, Rclone, Restic

engines.register()

from addons.loomworks_storage.filestore.key import Key  # noqa: E402  (only importable once registered)
from addons.loomworks_storage.filestore.location import Location  # noqa: E402
from addons.loomworks_storage.filestore.request import Command, Request  # noqa: E402
from harness.s3_server import REGION, S3Server  # noqa: E402
from stack.settings import Settings  # noqa: E402

BUCKET = "bench-filestores"
TENANT = "0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"
MEBIBYTE = 1 << 20
# Thumbnails of a few KiB, documents of some tens, photographs of some hundreds, a few mails' attachments of MiB.
SIZES = {"median": 16 << 10, "sigma": 1.5, "least": 64, "most": 16 << 20}
TINY = {"median": 100, "sigma": 0.3, "least": 16, "most": 1000}
SETTLE = 6  # seconds, after which a directory's time is trusted
NEW = 200  # files
LONG = 60  # seconds: what takes longer is done once


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="tiny files for the figure of memory; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="of what is done more than once")
    parser.add_argument("--peers", default="rclone,restic")
    parser.add_argument("--sparing", action="store_true", help="no peer but the fastest where nothing or little is new")
    parser.add_argument("--median", type=int, default=SIZES["median"] >> 10, help="KiB: the middle size of the files")
    parser.add_argument("--tree", type=Path, help="a folder for the files; one that is there is used as it is")
    parser.add_argument("--million-tree", type=Path, help="the same for the tiny files")
    options = parser.parse_args()
    figures = Figures("storage")
    folder = Path(tempfile.mkdtemp(prefix="loomworks-bench-", dir="/tmp"))
    server = S3Server(Settings.from_environment(), folder / "s3")
    try:
        server.start()
        server.client().create_bucket(Bucket=BUCKET)
        if options.files:
            compare(figures, server, folder, options)
        if options.million:
            remember(figures, server, folder, options.million, options.million_tree)
    finally:
        server.stop()
        shutil.rmtree(folder)


def compare(figures, server, folder, options):
    """Back up and restore the same files by all programs."""
    source = options.tree or folder / "t_bench"
    sizes = {**SIZES, "median": options.median << 10}
    if not source.exists():
        fill(source, options.files, sizes, seed=1)
    count, size = measured(source)
    facts = {"files": count, "mib": round(size / MEBIBYTE), "median_kib": options.median}
    wanted = options.peers.split(",")
    programs = [kind(server, BUCKET, folder) for kind in (Rclone, Restic) if kind.name in wanted]
    programs.append(ours(server, TENANT))
    time.sleep(SETTLE)
    first = {one.name: one.back_up(source, "first") for one in programs}
    tell(figures, "first backup", first, ["rclone"], 1.0, facts)
    quick = [one for one in programs if not options.sparing or one.name != "rclone"]
    tell(figures, "unchanged", unchanged(quick, source, options.rounds), ["rclone", "restic"], 0.05, facts)
    fill(source, NEW, sizes, seed=2)
    new = {one.name: one.back_up(source, "new") for one in quick}
    tell(figures, f"{NEW} new files", new, ["rclone", "restic"], 0.05, facts)
    back = {one.name: restored(one, folder / f"back-{one.name}") for one in programs}
    tell(figures, "restore", back, ["rclone"], 0.8, facts)


def remember(figures, server, folder, count, tree):
    """Measure the most memory that our own program takes for many files."""
    source, tenant = tree or folder / "t_million", TENANT.replace("0d3c8a52", "1d3c8a52")
    if not source.exists():
        fill(source, count, TINY, seed=3)
    program = ours(server, tenant)
    time.sleep(SETTLE)
    runs = {"first backup": program.back_up(source, "first"), "unchanged": program.back_up(source, "same")}
    fill(source, NEW, TINY, seed=4)
    runs |= {f"{NEW} new files": program.back_up(source, "new"), "check": program.check("new")}
    runs |= {"collect": program.collect(tenant), "restore": program.restore(folder / "back", "new")}
    for name, one in runs.items():
        memory = one.memory / MEBIBYTE
        figures.add(f"memory, {name}", memory, "MiB", memory / 200, 1.0, files=count, seconds=round(one.seconds, 1))


def ours(server, tenant):
    """Return our own program with a key of its own."""
    location = Location(tenant, server.endpoint, BUCKET, REGION, server.key, server.key_secret, str(server.ca_file))

    def request(command, manifest, folder):
        return Request(Command(command), tenant, manifest, str(folder), "t_bench").to_json()

    return Ours(location, Key.generate(), request)


def fill(root, count, sizes, seed):
    """Write ``count`` files below ``root`` as Odoo does; return their bytes."""
    chosen, total = random.Random(seed), 0
    for number in range(256):
        (root / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        size = int(sizes["median"] * chosen.lognormvariate(0, sizes["sigma"]))
        content = os.urandom(min(max(size, sizes["least"]), sizes["most"]))
        digest = hashlib.sha1(content).hexdigest()
        with (root / digest[:2] / digest).open("xb") as stream:
            stream.write(content)
        total += len(content)
    return total


def measured(root):
    """Return how many files there are below ``root``, and their bytes."""
    sizes = [entry.stat().st_size for one in root.iterdir() for entry in os.scandir(one)]
    return len(sizes), sum(sizes)


def unchanged(programs, source, rounds):
    """Back up what has not changed, the programs by turns; return of each the run that took the median."""
    runs = {one.name: [] for one in programs}
    for number in range(rounds):
        for one in programs:
            if not number or runs[one.name][0].seconds < LONG:
                runs[one.name].append(one.back_up(source, f"same-{number}"))
    return {name: middle(several) for name, several in runs.items()}


def restored(program, folder):
    """Restore into an empty folder, which goes with all others: removing many files would slow down what follows."""
    folder.mkdir()
    os.sync()
    return program.restore(folder, "new")


def middle(runs):
    """Return the run that took the median of the seconds."""
    return min(runs, key=lambda one: abs(one.seconds - median(two.seconds for two in runs)))


def tell(figures, name, runs, peers, goal, facts):
    """Write down ours as a ratio to the fastest of ``peers``, and what all took."""
    mine = runs["ours"]
    fastest = min((runs[peer].seconds for peer in peers if peer in runs), default=None)
    ratio = mine.seconds / fastest if fastest else None
    inside = {"engine_s": mine.report["seconds"], "processor_s": round(mine.processor, 2)}
    others = {f"{peer}_s": round(one.seconds, 2) for peer, one in runs.items() if peer != "ours"}
    memory = {f"{peer}_mib": round(one.memory / MEBIBYTE) for peer, one in runs.items()}
    figures.add(name, mine.seconds, "s", ratio, goal, **inside, **others, **memory, **facts)


if __name__ == "__main__":
    main()
