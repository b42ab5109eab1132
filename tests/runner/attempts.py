"""Runs a command that may fail, and returns why."""

from __future__ import annotations

import subprocess


def attempt(
    command: list[str], environment: dict[str, str] | None = None, limit: float | None = None
) -> str | None:
    """Run ``command`` quietly; return its last words if it fails or exceeds ``limit`` seconds."""
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} was not done within {limit:g} s"
    if result.returncode == 0:
        return None
    print(result.stdout, flush=True)
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit {result.returncode}"
