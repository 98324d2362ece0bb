"""Where figures go: one JSON object a line, each with its ratio to a floor or a peer of the same run."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"


class Figures:
    """The file of one benchmark, written as the figures come; with ``more``, behind those that it has."""

    def __init__(self, name, more=False):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path = FOLDER / f"{name}.jsonl"
        if not more:
            self.path.write_text("")

    def add(self, name, value, unit, ratio=None, goal=None, **facts):
        """Print a figure and keep it; ``facts`` say under which conditions it was measured."""
        rounded = None if ratio is None else round(ratio, 3)
        figure = {"name": name, "value": round(value, 3), "unit": unit, "ratio": rounded, "goal": goal}
        line = json.dumps({**figure, **facts})
        print(line, flush=True)
        with self.path.open("a") as stream:
            stream.write(line + "\n")
