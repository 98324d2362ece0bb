"""The stack's local processes, kept by supervisord: logs on disk, restarted when they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import cache, runtime, shell
from .errors import StackError
from .settings import Settings

LOG_SIZE = "20MB"
LOG_BACKUPS = 2
START_TIMEOUT = 60  # seconds
STOP_WAIT = 15  # seconds


@dataclass(frozen=True)
class Program:
    """A process to keep: it is restarted when its command, its environment or a file in ``uses`` changes."""

    name: str
    command: tuple[str | Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[Path, ...] = ()
    stop_signal: str = "TERM"
    stop_wait: int = STOP_WAIT  # seconds until it is killed

    def section(self, logs: Path) -> str:
        """The program's part of supervisord.conf."""
        environment = {**self.environment, "LOOMWORKS_USES": cache.digest(self.uses)}
        values = ",".join(f'{name}="{value}"' for name, value in environment.items())
        lines = {
            "command": " ".join(map(_quoted, self.command)),
            "environment": _escaped(values),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": "0",
            "startretries": "1000000",
            "stopsignal": self.stop_signal,
            "stopwaitsecs": str(self.stop_wait),
            "redirect_stderr": "true",
            "stdout_logfile": str(logs / f"{self.name}.log"),
            "stdout_logfile_maxbytes": LOG_SIZE,
            "stdout_logfile_backups": str(LOG_BACKUPS),
        }
        body = "".join(f"{name}={value}\n" for name, value in lines.items())
        return f"[program:{self.name}]\n{body}"


def _quoted(word: str | Path) -> str:
    text = str(word).replace("\\", "\\\\").replace('"', '\\"')
    return _escaped(f'"{text}"')


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def configuration(programs: Iterable[Program], logs: Path, run: Path) -> str:
    """The whole supervisord.conf; ``logs`` and ``run`` are paths inside the namespace."""
    head = f"""[unix_http_server]
file={run}/supervisor.sock
chmod=0700

[supervisord]
nodaemon=true
silent=true
logfile={logs}/supervisord.log
logfile_maxbytes={LOG_SIZE}
pidfile={run}/supervisord.pid

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *(program.section(logs) for program in programs)])


def start(settings: Settings, venv: Path, programs: Iterable[Program]) -> None:
    """Have supervisord run with these programs: started if it is not, told of the changes if it is."""
    path = settings.state / "supervisor" / "supervisord.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.run.mkdir(parents=True, exist_ok=True)
    settings.logs.mkdir(parents=True, exist_ok=True)
    logs, run = runtime.inside(settings, settings.logs), runtime.inside(settings, settings.run)
    path.write_text(configuration(programs, logs, run))
    if is_alive(settings):
        _take_over_changes(settings, venv)
    else:
        runtime.start(settings, [venv / "bin" / "supervisord", "-c", path], settings.logs / "start.log")
        wait("supervisord", lambda: is_alive(settings) and control(settings, venv, "pid").strip().isdigit())


def _take_over_changes(settings: Settings, venv: Path) -> None:
    control(settings, venv, "reread")
    running = names_running(settings, venv)
    control(settings, venv, "update")
    for name in running:
        control(settings, venv, "start", name)


def pid(settings: Settings) -> int | None:
    """The process id of this stack's own supervisord, while it lives."""
    path = settings.run / "supervisord.pid"
    if not path.exists():
        return None
    number = int(path.read_text() or 0)
    return number if number in runtime.processes() else None


def is_alive(settings: Settings) -> bool:
    """Whether this stack's supervisord runs."""
    return pid(settings) is not None


def control(settings: Settings, venv: Path, *arguments: str) -> str:
    """Run supervisorctl; it reaches the socket through the namespace of supervisord itself."""
    socket = f"unix:///proc/{pid(settings)}/root{runtime.inside(settings, settings.run)}/supervisor.sock"
    return shell.run([venv / "bin" / "supervisorctl", "-s", socket, *arguments], check=False)


def names_running(settings: Settings, venv: Path) -> list[str]:
    """The programs that are running."""
    lines = control(settings, venv, "status").splitlines()
    return [line.split()[0] for line in lines if line.split()[1:2] == ["RUNNING"]]


def stop_programs(settings: Settings, venv: Path, *names: str) -> None:
    """Stop programs, and wait until they have ended."""
    control(settings, venv, "stop", *names)


def start_programs(settings: Settings, venv: Path, *names: str) -> None:
    """Start those of the programs that do not run."""
    missing = set(names) - set(names_running(settings, venv))
    for name in (name for name in names if name in missing):
        answer = control(settings, venv, "start", name)
        if "started" not in answer:
            raise StackError(f"{name} does not start: {answer.strip()}", hint=f"see {settings.logs / name}.log")


def wait(what: str, ready: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
    """Wait until ``ready()``; nothing of what it raises is hidden."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise StackError(f"{what} is not ready after {timeout:.0f} s", hint="see make logs")
        time.sleep(0.1)
