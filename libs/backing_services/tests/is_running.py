from pathlib import Path


def is_running(pid: int | None) -> bool:
    """Say whether the process exists and is more than a zombie that nobody reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
