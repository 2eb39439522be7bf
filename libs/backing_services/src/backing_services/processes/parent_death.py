"""Run a command that the kernel ends when the process that started it dies, even by SIGKILL.

`bound_to_this_process` wraps the command in this file, run as a script. The script drops root where asked, asks the
kernel for the signal (`prctl(PR_SET_PDEATHSIG)`) and becomes the command, in about 40 ms. `preexec_fn` won't do: in a
process with threads, as every Kafka client has, it is unsafe, and Python 3.12 warns.

On systems without `prctl` the command just runs; there, only an orderly end stops it.
"""

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def bound_to_this_process(
    command: Sequence[str], *, death_signal: signal.Signals = signal.SIGKILL, run_as: tuple[int, int] | None = None
) -> list[str]:
    """Wrap `command` so that it gets `death_signal` when its parent dies.

    The kernel counts the *thread* that started the command as the parent: start it from the main thread, or from one
    that lives as long as the command should. `run_as` is (uid, gid) for a command that refuses to run as root.
    """
    uid, gid = run_as or (-1, -1)
    numbers = (os.getpid(), int(death_signal), uid, gid)
    return [sys.executable, "-I", "-S", __file__, *map(str, numbers), *command]


def become(arguments: Sequence[str]) -> None:
    """Turn this process into the command: (parent pid, signal, uid, gid, command...)."""
    parent, death_signal, uid, gid = map(int, arguments[:4])
    command = list(arguments[4:])
    # Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if uid >= 0:
        _drop_root(uid, gid)
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, death_signal)  # after setuid, which clears it
    if os.getppid() != parent:  # the parent died before the call of prctl
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is this file's job


def _drop_root(uid: int, gid: int) -> None:
    """Become another user who can still read folders that are closed to others, such as /root and pytest's tmp_path."""
    if sys.platform == "linux":
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux":
        _keep_file_access()


def _keep_file_access() -> None:
    """Keep CAP_DAC_OVERRIDE over the exec. Where the container withholds it, the command runs without it."""
    import ctypes  # noqa: PLC0415 - 25 ms for the script, not for importers of this module

    capability = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(capability, capability, capability, 0, 0, 0)  # effective, permitted, inheritable
    if ctypes.CDLL(None).capset(header, sets) == 0:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> None:
    import ctypes  # noqa: PLC0415 - 25 ms that only the script pays

    padded = [*arguments, 0, 0, 0, 0][:4]
    ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, padded))


if __name__ == "__main__":
    become(sys.argv[1:])
