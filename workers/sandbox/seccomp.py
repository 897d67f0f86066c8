"""A system-call filter as the classic BPF program that bubblewrap's `--seccomp` takes.

Denies what a build, a linter or a test has no use for and what escapes are made of: namespaces and
mounts, other processes' memory, keyrings, BPF, io_uring, file handles, kernel modules, the clock.
`clone` is denied only with a flag for a namespace; `clone3` and `openat2`, whose flags a filter
cannot read, are reported as missing, upon which programs use `clone` and `openat`. Sockets are
local, IPv4, IPv6 or netlink: some of the other families (vsock) know no namespaces. Memory that
belongs to no process and so would not be counted is refused: memory files, and all but small
System V segments (PostgreSQL asks for one of 56 bytes). Nor can a file be made that runs as its
owner for whoever starts it: outside, that is the worker. Architectures other than these two get
no filter.
Format: struct sock_filter, linux/filter.h; structure seccomp_data, linux/seccomp.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Machine:
    """An architecture's audit number, and the numbers of its system calls."""

    audit: int
    clone: int
    socket: int
    shmget: int
    memfd_create: int
    modes: tuple[tuple[int, int], ...]  # which argument of which call is a file's mode
    denied: tuple[int, ...]


# unshare mount umount2 pivot_root setns chroot, ptrace process_vm_readv/writev kcmp, add_key
# request_key keyctl, bpf perf_event_open userfaultfd open_by_handle_at fanotify_init,
# kexec_load kexec_file_load init_module finit_module delete_module, swapon swapoff reboot acct
# quotactl syslog, settimeofday adjtimex clock_settime clock_adjtime, move_pages migrate_pages
# modes: chmod fchmod fchmodat, open creat openat, mknod mknodat
# fmt: off
_MACHINES = {
    "x86_64": _Machine(0xC000003E, clone=56, socket=41, shmget=29, memfd_create=319,
        modes=((90, 1), (91, 1), (268, 2), (2, 2), (85, 1), (257, 3), (133, 1), (259, 2)), denied=(
        272, 165, 166, 155, 308, 161, 101, 310, 311, 312, 248, 249, 250, 321, 298, 323, 304, 300,
        246, 320, 175, 313, 176, 167, 168, 169, 163, 179, 103, 164, 159, 227, 305, 279, 256,
        172, 173)),  # iopl ioperm
    "aarch64": _Machine(0xC00000B7, clone=220, socket=198, shmget=194, memfd_create=279,
        modes=((52, 1), (53, 2), (56, 3), (33, 2)), denied=(
        97, 40, 39, 41, 268, 51, 117, 270, 271, 272, 217, 218, 219, 280, 241, 282, 265, 262,
        104, 294, 105, 273, 106, 224, 225, 142, 89, 60, 116, 170, 171, 112, 266, 239, 238)),
}
# fmt: on
# io_uring_*, open_tree … fsmount, pidfd_getfd process_madvise, mount_setattr quotactl_fd,
# memfd_secret: the same on every architecture
_COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447)
_CLONE3, _OPENAT2, _FCHMODAT2 = 435, 437, 452
_X32 = 0x40000000
_NAMESPACES = 0x7E020000  # all CLONE_NEW… but that of time, which `clone` does not know
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX AF_INET AF_INET6 AF_NETLINK
_SEGMENT_BYTES = 65_536
_SET_ID = 0o6000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000


def program() -> bytes | None:
    """The filter for this machine, or None where the numbers are not known."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return None
    deny, missing, allow = _refuse(errno.EPERM), _refuse(errno.ENOSYS), _op(_RETURN, _ALLOW)
    code = [_op(_LOAD, 4), _op(_EQUAL, machine.audit, yes=1), deny, _op(_LOAD, 0)]
    code += [_op(_AT_LEAST, _X32, no=1), deny]
    for number in (*machine.denied, *_COMMON):
        code += [_op(_EQUAL, number, no=1), deny]
    for number in (_CLONE3, _OPENAT2, machine.memfd_create):
        code += [_op(_EQUAL, number, no=1), missing]
    for number, position in (*machine.modes, (_FCHMODAT2, 2)):
        argument = _op(_LOAD, 16 + 8 * position)
        code += _only(number, [argument, _op(_ANY_BIT, _SET_ID, no=1), deny, allow])
    code += _only(machine.socket, _families())
    code += _only(machine.shmget, _small())
    code += _only(machine.clone, [_op(_LOAD, 16), _op(_ANY_BIT, _NAMESPACES, no=1), deny, allow])
    return b"".join([*code, allow])


def _only(number: int, code: list[bytes]) -> list[bytes]:
    """`code`, which must end with a return, for this one system call."""
    return [_op(_EQUAL, number, no=len(code)), *code]


def _families() -> list[bytes]:
    left = range(len(_FAMILIES), 0, -1)
    checks = [_op(_EQUAL, family, yes=n) for family, n in zip(_FAMILIES, left, strict=True)]
    return [_op(_LOAD, 16), *checks, _refuse(errno.EAFNOSUPPORT), _op(_RETURN, _ALLOW)]


def _small() -> list[bytes]:
    """The second argument, 64 bits, is less than a segment may have."""
    return [
        _op(_LOAD, 28),
        _op(_EQUAL, 0, no=2),
        _op(_LOAD, 24),
        _op(_AT_LEAST, _SEGMENT_BYTES, no=1),
        _refuse(errno.ENOMEM),
        _op(_RETURN, _ALLOW),
    ]


def _op(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(number: int) -> bytes:
    return _op(_RETURN, 0x00050000 | number)
