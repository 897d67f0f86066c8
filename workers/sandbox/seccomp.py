"""A system-call filter as the classic BPF program that bubblewrap's `--seccomp` takes.

Denies what a build, a linter or a test has no use for and what escapes are made of: namespaces and
mounts, other processes' memory, keyrings, BPF, io_uring, file handles, kernel modules. `clone` is
denied only with CLONE_NEWUSER; `clone3`, whose flags a filter cannot read, is reported as missing,
upon which C libraries use `clone`. Other architectures than these two get no filter.
Format: struct sock_filter, linux/filter.h; structure seccomp_data, linux/seccomp.h.
"""

from __future__ import annotations

import errno
import platform
import struct

_X86_64 = (0xC000003E, 56)  # AUDIT_ARCH_X86_64, clone
_AARCH64 = (0xC00000B7, 220)
# fmt: off
_NUMBERS = {
    # unshare mount umount2 pivot_root setns, ptrace process_vm_readv/writev, add_key request_key
    # keyctl, bpf perf_event_open userfaultfd open_by_handle_at, kexec_load kexec_file_load
    # init_module finit_module delete_module, swapon swapoff reboot
    _X86_64: (272, 165, 166, 155, 308, 101, 310, 311, 248, 249, 250, 321, 298, 323, 304,
              246, 320, 175, 313, 176, 167, 168, 169),
    _AARCH64: (97, 40, 39, 41, 268, 117, 270, 271, 217, 218, 219, 280, 241, 282, 265,
               104, 294, 105, 273, 106, 224, 225, 142),
}
# fmt: on
# io_uring_*, open_tree … fsmount, mount_setattr: the same on every architecture
_COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)
_CLONE3 = 435
_X32 = 0x40000000
_NEWUSER = 0x10000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000


def program() -> bytes | None:
    """The filter for this machine, or None where the numbers are not known."""
    machine = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine())
    if machine is None:
        return None
    arch, clone = machine
    deny, missing = _refuse(errno.EPERM), _refuse(errno.ENOSYS)
    code = [_op(_LOAD, 4), _op(_EQUAL, arch, yes=1), deny, _op(_LOAD, 0)]
    code += [_op(_AT_LEAST, _X32, no=1), deny]
    for number in (*_NUMBERS[machine], *_COMMON):
        code += [_op(_EQUAL, number, no=1), deny]
    code += [_op(_EQUAL, _CLONE3, no=1), missing]
    code += [_op(_EQUAL, clone, no=3), _op(_LOAD, 16), _op(_ANY_BIT, _NEWUSER, no=1), deny]
    code += [_op(_RETURN, _ALLOW)]
    return b"".join(code)


def _op(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(number: int) -> bytes:
    return _op(_RETURN, 0x00050000 | number)
