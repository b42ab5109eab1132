"""What `./test` does.  Runs in any Python from 3.8 up, before there is an environment."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements" / "test.txt"
