"""Programs that try to leave the sandbox. Each says `ESCAPED` and how, when it got through.

A program is run by `sandbox_stage`, inside a `try`: an exception means that it was held. `facts` name
what stands outside: files, sockets, ports, a process.
"""

from __future__ import annotations

PRELUDE = """
import ctypes, json, mmap, os, platform, resource, signal, socket, stat, struct, subprocess, sys
import _thread, time
facts = json.loads(sys.argv[1])
ARM = platform.machine() == "aarch64"
libc = ctypes.CDLL(None, use_errno=True)
def escaped(what):
    print("ESCAPED", what, flush=True)
    os._exit(0)
def call(x86, arm, *args):
    got = libc.syscall(arm if ARM else x86, *args)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
def each(*acts):
    for act in acts:
        try:
            got = act()
        except Exception:
            continue
        escaped(f"{act.__code__.co_names} gave {got!r}"[:300])
def say(path, text="x"):
    with open(path, "w") as file:
        file.write(text)
    return path
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
        s.sendall(b"knock")
    return address
"""

FILES = {
    "read a file outside": "each(lambda: open(facts['secret']).read())",
    "read the shadow file": "each(lambda: open('/etc/shadow').read())",
    "read homes": """
for home in ("/root", "/home"):
    for folder, folders, files in os.walk(home):
        python = [p for p in (sys.prefix, sys.base_prefix) if p.startswith(folder)]
        if python and not files and len(folders) == 1: continue  # the way to this Python
        if any(folder.startswith(p) for p in (sys.prefix, sys.base_prefix)): break
        escaped(f"{folder} holds {folders} and {files}")""",
    "read the worker's code and settings": """
each(*[lambda p=p: os.listdir(p) for p in facts["private"]])""",
    "write outside": "each(lambda: say(facts['outside'] + '/new'), lambda: say(facts['secret']))",
    "write to the system": """
each(*[lambda p=p: say(p + "/escaped") for p in ("/", "/usr", "/usr/bin", "/etc", "/run", "/bin")])
each(lambda: os.rename("/usr/bin/env", "/usr/bin/gone"), lambda: os.chmod("/usr", 0o777))""",
    "change the files of the runner": """
inside = [sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), "/run/agentsys"]
each(*[lambda p=p: say(p + "/escaped") for p in inside])
each(lambda: say("/run/agentsys/launcher.py"), lambda: os.remove("/run/agentsys/launcher.py"))
each(lambda: say(sys.executable), lambda: os.rename("/run/agentsys", "/run/other"))""",
    "a symbolic link out": """
os.symlink(facts["secret"], "link"); os.symlink(facts["outside"], "folder")
each(lambda: open("link").read(), lambda: say("link"), lambda: say("folder/new"))""",
    "a hard link out": """
targets = [facts["secret"], "/etc/passwd", "/usr/bin/env", sys.executable, "/proc/self/exe"]
each(*[lambda t=t: os.link(t, "linked", follow_symlinks=False) for t in targets])""",
    "a folder moved away and climbed out of": """
os.makedirs("a/b"); os.chdir("a/b"); os.rename("../../a/b", "../../c")
each(lambda: open("../" * 60 + facts["secret"].lstrip("/")).read())""",
    "links left for the worker that cleans up": """
os.symlink(facts["secret"], "owned"); os.symlink(facts["outside"], "below")
os.mkdir("closed"); os.symlink(facts["outside"], "closed/out"); os.chmod("closed", 0)""",
    "folders too deep for the worker to walk": """
for _ in range(1500):
    os.mkdir("d"); os.chdir("d")
say("end")""",
    "a program that runs as the worker": """
say("tool", "#!/bin/sh\\n"); say("tool2")
each(lambda: os.chmod("tool", 0o4755), lambda: os.chmod("tool", 0o2755))
each(lambda: call(452, 452, -100, b"tool", 0o4755, 0))
each(lambda: os.close(os.open("tool3", os.O_CREAT | os.O_WRONLY, 0o4755)))
if os.stat("tool").st_mode & 0o6000: escaped("it is set-user-id")""",
    "handles left open": """
for number in range(3, 1024):
    try: name = os.readlink(f"/proc/self/fd/{number}")
    except OSError: continue
    if not name.startswith(("/proc", "pipe:", "socket:")): escaped(f"{number} is {name}")""",
    "names and handles of files": """
handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 256)
mount = ctypes.c_int()
each(lambda: call(304, 265, -100, handle, 0))""",
}

NETWORK = {
    "loopback": "each(lambda: connect(socket.AF_INET, ('127.0.0.1', facts['tcp'])))",
    "loopback, version 6": """
each(lambda: connect(socket.AF_INET6, ("::1", facts["tcp"])))
each(lambda: connect(socket.AF_INET6, ("::ffff:127.0.0.1", facts["tcp"])))""",
    "metadata addresses": """
each(lambda: connect(socket.AF_INET, ("169.254.169.254", 80)))
each(lambda: connect(socket.AF_INET, ("169.254.170.2", 80)))
each(lambda: connect(socket.AF_INET6, ("fd00:ec2::254", 80)))""",
    "the world": """
each(lambda: connect(socket.AF_INET, ("1.1.1.1", 443)), lambda: connect(socket.AF_INET, ("8.8.8.8", 53)))""",
    "names": """
each(lambda: socket.getaddrinfo("example.com", 80), lambda: socket.getaddrinfo("metadata.internal", 80))
each(lambda: open("/etc/resolv.conf").read())""",
    "datagrams": """
each(lambda: connect(socket.AF_INET, ("169.254.169.254", 53), socket.SOCK_DGRAM))
each(lambda: connect(socket.AF_INET, ("8.8.8.8", 53), socket.SOCK_DGRAM))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(b"knock", ("127.0.0.1", facts["udp"]))  # to nobody: this loopback is another one""",
    "a socket in the file system": "each(lambda: connect(socket.AF_UNIX, facts['socket']))",
    "an abstract socket": "each(lambda: connect(socket.AF_UNIX, '\\0' + facts['abstract']))",
    "raw sockets": """
each(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
each(lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58))
each(lambda: socket.socket(17, socket.SOCK_RAW, 0x0300))""",
    "sockets that know no namespace": """
each(*[lambda f=f: socket.socket(f, k) for f in (40, 38, 21, 29, 31, 44) for k in (1, 2, 5)])""",
    "another interface": """
each(lambda: subprocess.run(["ip", "link", "add", "d0", "type", "dummy"], check=True))
names = [n for _, n in socket.if_nameindex() if n not in ("lo", "tunl0", "sit0", "ip6tnl0")]
if names: escaped(f"interfaces {names}")""",
}

KERNEL = {
    "ptrace": """
child = os.fork()
if child == 0: time.sleep(30); os._exit(0)
each(lambda: call(101, 117, 16, child, 0, 0), lambda: call(101, 117, 0, 0, 0, 0))
each(lambda: call(101, 117, 0x4206, 1, 0, 0))""",
    "memory of other processes": """
buffer = ctypes.create_string_buffer(8)
vector = struct.pack("QQ", ctypes.addressof(buffer), 8)
each(lambda: call(310, 270, os.getpid(), vector, 1, vector, 1, 0))
each(lambda: open(f"/proc/{facts['worker']}/mem", "rb").read(1))
each(lambda: call(438, 438, call(434, 434, 1, 0), 0, 0))""",
    "user namespaces": """
each(lambda: call(272, 97, 0x10000000), lambda: call(272, 97, 0x10020000))
each(lambda: call(56, 220, 0x10000011, 0, 0, 0, 0))
args = ctypes.create_string_buffer(struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
each(lambda: call(435, 435, args, 88))
each(lambda: subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True))""",
    "other namespaces": """
each(*[lambda f=f: call(272, 97, f) for f in
       (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x80)])
each(*[lambda n=n: call(308, 268, os.open(f"/proc/1/ns/{n}", os.O_RDONLY), 0)
       for n in ("mnt", "pid", "net", "user", "ipc", "uts")])""",
    "mount": """
each(lambda: call(165, 40, b"x", b"/tmp", b"tmpfs", 0, 0), lambda: call(166, 39, b"/proc", 2))
each(lambda: call(165, 40, b"/", b"/tmp", 0, 4096, 0), lambda: call(165, 40, 0, b"/", 0, 32, 0))
each(lambda: call(155, 41, b"/tmp", b"/tmp"))""",
    "mount, the new way": """
each(lambda: call(430, 430, b"tmpfs", 0), lambda: call(428, 428, -100, b"/", 1))
each(lambda: call(429, 429, -100, b"/tmp", -100, b"/usr", 0), lambda: call(433, 433, -100, b"/", 0))
attributes = ctypes.create_string_buffer(32)
each(lambda: call(442, 442, -100, b"/usr", 0, attributes, 32))""",
    "chroot": "os.mkdir('r'); each(lambda: os.chroot('r'), lambda: os.chroot('/proc/1/root'))",
    "keyrings": """
each(lambda: call(248, 217, b"user", b"escaped", b"x", 1, -3))
each(lambda: call(250, 219, 0, -3, 1), lambda: call(250, 219, 1, 0))
each(lambda: call(249, 218, b"user", b"escaped", 0, -3))""",
    "io_uring": """
each(lambda: call(425, 425, 4, ctypes.create_string_buffer(248)))
each(lambda: call(427, 427, 3, 0, 0, 0))""",
    "bpf": """
each(*[lambda c=c: call(321, 280, c, ctypes.create_string_buffer(128), 128) for c in (0, 5)])""",
    "performance counters": """
attributes = struct.pack("IIQ", 1, 112, 0) + bytes(96)
each(lambda: call(298, 241, attributes, 0, -1, -1, 0))""",
    "userfaultfd": "each(lambda: call(323, 282, 1), lambda: call(323, 282, 0o2000001))",
    "modules and the running kernel": """
each(lambda: call(175, 105, b"", 0, b""), lambda: call(313, 273, 0, b"", 0))
each(lambda: call(246, 104, 0, 0, 0, 0), lambda: call(169, 142, 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0))
each(lambda: call(167, 224, b"/tmp/x", 0), lambda: call(103, 116, 3, ctypes.create_string_buffer(9), 9))
if not ARM: each(lambda: call(172, 0, 3), lambda: call(173, 0, 0x70, 1, 1))""",
    "the clock and the host's name": """
each(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()), lambda: socket.sethostname("escaped"))
each(lambda: call(163, 89, b"/tmp/acct"))""",
    "a 32-bit system call": """
if not ARM:
    code = b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3"  # mov eax, getpid; int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(code)
    child = os.fork()
    if child == 0:
        got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(42 if got > 0 else 0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42: escaped("it went past the filter")
    each(lambda: call(0x40000000 + 39, 0))""",
    "the root of other processes": """
pids = [p for p in os.listdir("/proc") if p.isdigit()] + ["self", "thread-self"]
tail = facts["secret"]
each(*[lambda p=p, w=w: open(f"/proc/{p}/{w}{tail}").read() for p in pids for w in ("root", "cwd")])
each(*[lambda p=p: open("/proc/" + p + "/root" + "/.." * 20 + tail).read() for p in pids])
for p in pids:
    try: names = os.listdir(f"/proc/{p}/fd")
    except OSError: continue
    each(*[lambda n=n: open(f"/proc/{p}/fd/{n}/..{tail}").read() for n in names])""",
    "switches of the kernel": """
# Opened, not written to: should it work, this machine must not suffer.
names = ["sysrq-trigger", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/drop_caches",
         "sys/vm/overcommit_memory", "sys/kernel/hostname", "sys/fs/binfmt_misc/register", "mtrr",
         "sys/kernel/ns_last_pid", "irq/default_smp_affinity", "acpi/wakeup"]
each(*[lambda n=n: os.open(f"/proc/{n}", os.O_WRONLY) for n in names])
writable = [os.path.join(folder, name) for folder, _, files in os.walk("/proc/sys")
            for name in files if os.access(os.path.join(folder, name), os.W_OK)]
if writable: escaped(f"{len(writable)} switches, as {writable[:5]}")""",
    "the kernel's memory": """
for p in ("/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/port", "/proc/slabinfo",
          "/proc/kpageflags", "/proc/vmallocinfo", "/proc/pagetypeinfo", "/proc/timer_list"):
    try: got = os.read(os.open(p, os.O_RDONLY | os.O_NONBLOCK), 1)
    except OSError: continue
    if got: escaped(p)""",
    "control groups and /sys": """
each(lambda: os.listdir("/sys/fs"), lambda: os.listdir("/sys/kernel"), lambda: os.mkdir("/sys/x"))""",
    "devices": """
fine = {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "ptmx", "fd", "console",
        "stdin", "stdout", "stderr", "core"}
more = set(os.listdir("/dev")) - fine
if more: escaped(f"/dev has {more}")
each(lambda: os.mknod("disk", 0o660 | stat.S_IFBLK, os.makedev(8, 0)))
each(lambda: os.mknod("memory", 0o660 | stat.S_IFCHR, os.makedev(1, 1)))
each(lambda: os.open("/dev/tty", os.O_RDWR), lambda: say("/dev/escaped"))""",
}

PROCESSES = {
    "signals to processes outside": """
each(lambda: os.kill(facts["pid"], 0), lambda: os.kill(facts["worker"], 0))
each(lambda: os.killpg(facts["pid"], 9), lambda: call(424, 424, call(434, 434, facts["pid"], 0), 9, 0, 0))
each(lambda: os.kill(-1, 9) or None if facts["pid"] in map(int, filter(str.isdigit, os.listdir("/proc")))
     else os.kill(facts["pid"], 9))""",
    "seeing processes outside": """
text = ""
for p in filter(str.isdigit, os.listdir("/proc")):
    try: text += open(f"/proc/{p}/cmdline").read() + open(f"/proc/{p}/status").read()
    except OSError: pass
if facts["victim"][::-1] in text: escaped("it sees them")""",
    "the environment of the worker": """
text = json.dumps(dict(os.environ))
for p in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try: text += open(f"/proc/{p}/{name}", errors="replace").read().replace(sys.argv[1], "")
        except OSError: pass
if facts["canary"] in text: escaped("a variable came along")""",
    "rights by identity": """
each(lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.seteuid(0))
each(lambda: os.setresuid(0, 0, 0), lambda: os.chown(".", 0, 0))
facts_of = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
if int(facts_of["CapPrm"], 16) | int(facts_of["CapEff"], 16): escaped("capabilities")
if os.getuid() == 0: escaped("it is root")""",
    "set-user-id programs": """
for folder in ("/usr/bin", "/usr/sbin", "/usr/lib"):
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.stat(path).st_mode & stat.S_ISUID:
            program = subprocess.Popen([path, "--help"], stdin=0, stdout=-3, stderr=-3)
            uids = {l for l in open(f"/proc/{program.pid}/status") if l.startswith("Uid")}
            program.kill()
            if any(int(w) == 0 for l in uids for w in l.split()[1:]): escaped(path)""",
    "limits raised": """
for name in ("NPROC", "AS", "NOFILE", "FSIZE", "CPU", "CORE"):
    kind = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(kind)[1]
    if most == resource.RLIM_INFINITY: escaped(f"{name} has no limit")
    each(lambda: resource.setrlimit(kind, (most + 1, most + 1)))
each(lambda: os.nice(-5), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))""",
}

BOMBS = {
    "a fork bomb": """
count = 0
try:
    while count < 6000:
        if os.fork() == 0: time.sleep(60)
        count += 1
except OSError: pass
if count >= 6000: escaped(f"{count} processes")""",
    "a thread bomb": """
# No threading.Thread, which waits for a thread that dies while it begins.
_thread.stack_size(65536)
count = 0
try:
    while count < 6000:
        _thread.start_new_thread(time.sleep, (60,))
        count += 1
except (RuntimeError, MemoryError): pass
if count >= 6000: escaped(f"{count} threads")
print("held", flush=True); os._exit(0)""",
    "a memory bomb": """
kept = []
while sum(map(len, kept)) < 2**30:
    kept.append(os.urandom(4) * 2**22)
escaped("1 GiB")""",
    "a memory bomb of many processes": """
while True:
    if os.fork() == 0:
        kept = os.urandom(4) * 2**23
        time.sleep(60)
    time.sleep(0.02)""",
    "memory that belongs to nobody": """
each(lambda: os.memfd_create("x"), lambda: call(447, 447, 0))
each(lambda: call(29, 194, 0, 2**26, 0o1600))
most = sum(os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ("/tmp", "/dev/shm"))
if most > 2**31: escaped(f"{most} bytes of shared memory")""",
    "a disk bomb": """
block = os.urandom(2**20) * 4
for number in range(600):
    with open(f"f{number}", "wb") as file: file.write(block)
escaped("2.4 GB")""",
    "a disk bomb without names": """
block, kept = os.urandom(2**20) * 4, []
for number in range(600):
    kept.append(open(f"f{number}", "wb"))
    os.unlink(f"f{number}")
    kept[-1].write(block); kept[-1].flush()
escaped("2.4 GB")""",
    "a bomb of empty files": """
for number in range(400_000):
    os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, 0o600))
escaped("400,000 files")""",
    "one huge file": """
with open("f", "wb") as file: file.truncate(8 * 2**30)
escaped("8 GiB")""",
    "a bomb of open files": """
kept = []
try:
    while len(kept) < 20_000: kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
if len(kept) >= 20_000: escaped(f"{len(kept)} open files")""",
    "a flood of output": """
line = b"x" * 2**20
for _ in range(4000): os.write(1, line)
os.write(1, b"ESCAPED 4 GB")""",
    "daemons": """
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for handle in range(3): os.close(handle)
            time.sleep(600)
        os._exit(0)""",
    "signals ignored": """
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0: os.setsid()
while True: time.sleep(600)""",
    "processes stopped": """
if os.fork() == 0:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(600)""",
}

TRIES = {**FILES, **NETWORK, **KERNEL, **PROCESSES, **BOMBS}
