"""Where figures go: one JSON object a line, each with its ratio to a floor or a peer of the same run."""

import json
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"


class Figures:
    """The file of one benchmark: figures of every run, each with the moment at which its run began."""

    def __init__(self, name):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path = FOLDER / f"{name}.jsonl"
        self.run = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def add(self, name, value, unit, ratio=None, goal=None, **facts):
        """Print a figure and keep it; ``facts`` say under which conditions it was measured."""
        rounded = None if ratio is None else round(ratio, 3)
        figure = {"name": name, "value": round(value, 3), "unit": unit, "ratio": rounded, "goal": goal}
        line = json.dumps({**figure, **facts, "run": self.run})
        print(line, flush=True)
        with self.path.open("a") as stream:
            stream.write(line + "\n")
