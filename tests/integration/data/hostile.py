"""What a hostile program tries from inside: prints a line for each attempt that came through.

Arguments: the folder that holds the user's things, the port of a server of the machine, the name of
an abstract socket of the machine. What only the outside can tell, the test looks at there.
"""

import ctypes
import glob
import os
import platform
import signal
import socket
import subprocess
import sys
import time

ROOT, PORT, NAME = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
# In two parts, so that what looks for them does not find this.
SECRETS = b"canary-of" + b"-the-home", b"canary-of" + b"-the-environment"


def writes(path):
    def attempt():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a") as file:
            file.write("evil\n")
    return attempt


def reads(pattern):
    def attempt():
        for path in glob.glob(pattern):
            try:
                with open(path, "rb") as file:
                    text = file.read(1 << 20)
            except OSError:
                continue
            if any(secret in text for secret in SECRETS) or b"root:$" in text or b"root:*" in text:
                return
        raise OSError("nothing secret")
    return attempt


def calls(x86, arm, *args):
    def attempt():
        if LIBC.syscall(ARM and arm or x86, *args) < 0:
            raise OSError(ctypes.get_errno(), "refused")
    return attempt


def connects(family, kind, address):
    def attempt():
        with socket.socket(family, kind) as client:
            client.settimeout(5)
            client.connect(address)
            client.send(b"evil")
    return attempt


def links(make, how):
    def attempt():
        make(ROOT + "/sibling/canary", how)
        with open(how, "a") as file:
            file.write("evil\n")
    return attempt


def in_folder_link():
    os.symlink(ROOT + "/sibling", "folder")
    writes("folder/planted")()


def lets_a_helper_do_it(*command):
    def attempt():
        if subprocess.run(command, capture_output=True, timeout=60).returncode:
            raise OSError("refused")
    return attempt


def ten_gigabytes():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("big", "wb") as file:
        file.seek(10 << 30)
        file.write(b"x")


def fills(path):
    def attempt():
        try:
            with open(path, "wb") as file:
                for _ in range(64):
                    file.write(bytes(1 << 20))
        finally:
            if os.path.exists(path):
                os.remove(path)
    return attempt


OUTSIDE = ROOT + "/sibling/canary"
ATTEMPTS = {
    "writes beside the repository": writes(OUTSIDE),
    "writes grafter's settings": writes(ROOT + "/config/grafter/config.toml"),
    "writes git's settings": writes(ROOT + "/config/gitconfig"),
    "writes grafter's state": writes(ROOT + "/state/grafter/planted"),
    "writes to the runtime folder": writes(ROOT + "/run/planted"),
    "writes to /etc": writes("/etc/profile.d/grafter-evil.sh"),
    "writes to /usr": writes("/usr/local/bin/grafter-evil"),
    "writes the core pattern": lambda: open("/proc/sys/kernel/core_pattern", "a").close(),
    "writes kernel files": lambda: open("/sys/kernel/uevent_helper", "a").close(),
    "writes through a soft link": links(os.symlink, "soft"),
    "writes through a hard link": links(os.link, "hard"),
    "writes through a folder's link": in_folder_link,
    "writes through /proc": writes("/proc/self/root" + OUTSIDE),
    "writes through process 1": writes("/proc/1/root" + OUTSIDE),
    "moves a file out": lambda: os.rename("victim", ROOT + "/sibling/moved"),
    "moves a file in": lambda: os.rename(OUTSIDE, "moved"),
    "deletes outside": lambda: os.remove(OUTSIDE),
    "changes a mode outside": lambda: os.chmod(OUTSIDE, 0o777),
    "changes times outside": lambda: os.utime(OUTSIDE, (1, 1)),
    "changes an owner outside": lambda: os.chown(OUTSIDE, 1, 1),
    "sets an attribute outside": lambda: os.setxattr(OUTSIDE, "user.evil", b"x"),
    "makes a device": lambda: os.mknod("node", 0o60666, os.makedev(254, 0)),
    "reads a key of the home": reads(ROOT + "/home/.ssh/*"),
    "reads a key through /proc": reads("/proc/*/root" + ROOT + "/home/.ssh/*"),
    "reads environments": reads("/proc/*/environ"),
    "reads environments of threads": reads("/proc/*/task/*/environ"),
    "reads passwords": reads("/etc/shadow"),
    "reads the working folders of others": reads("/proc/*/cwd/../home/.ssh/*"),
    "connects to a server of the machine": connects(
        socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT)),
    "connects by bash": lets_a_helper_do_it("bash", "-c", f": < /dev/tcp/127.0.0.1/{PORT}"),
    "connects to another machine": connects(socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80)),
    "asks a name server": connects(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)),
    "looks up a name": lambda: socket.getaddrinfo("canary.example.org", 80),
    "connects to an abstract socket": connects(
        socket.AF_UNIX, socket.SOCK_STREAM, "\0" + NAME),
    "connects to a socket in a folder": connects(
        socket.AF_UNIX, socket.SOCK_STREAM, ROOT + "/run/s"),
    "opens a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "opens a host socket": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "traces its parent": calls(101, 117, 16, os.getppid(), 0, 0),
    "reads the sandbox's memory": lambda: open("/proc/1/mem", "rb").close(),
    "sets up io_uring": calls(425, 425, 1, 0),
    "makes a user namespace": calls(272, 97, 0x10000000),
    "mounts": lets_a_helper_do_it("mount", "-t", "tmpfs", "none", "/mnt"),
    "unmounts": lets_a_helper_do_it("umount", "-l", "/tmp"),
    "becomes root": lets_a_helper_do_it("su", "-c", "true", "daemon"),
    "fills the disk with one file": ten_gigabytes,
    "fills the shared memory": fills("/dev/shm/grafter-evil"),
    "fills /tmp": fills("/tmp/grafter-evil"),
}


def leaves_things():
    """What may come through inside, and must not be there outside or outlive the run."""
    for path in [ROOT + "/home/.bashrc", "/tmp/grafter-left-behind", "/dev/shm/grafter-left-behind"]:
        try:
            writes(path)()
        except OSError:
            pass
    mark = ROOT + "/home/mark"
    git = subprocess.run(["git", "rev-parse", "--absolute-git-dir"], capture_output=True, text=True)
    git = git.stdout.strip()
    for key in ["core.fsmonitor", "core.sshCommand", "core.pager", "diff.external",
                "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
                "credential.helper", "gpg.program", "alias.status"]:
        subprocess.run(["git", "config", key, f"sh -c 'touch {mark}'"])
    os.makedirs(git + "/hooks", exist_ok=True)
    for hook in ["post-checkout", "pre-commit", "post-commit", "reference-transaction",
                 "post-index-change", "post-merge"]:
        with open(f"{git}/hooks/{hook}", "w") as file:
            file.write(f"#!/bin/sh\ntouch {mark}\n")
        os.chmod(f"{git}/hooks/{hook}", 0o755)
    with open(".gitattributes", "w") as file:
        file.write("*.txt filter=evil diff=evil\n")
    os.makedirs(git + "/objects/info", exist_ok=True)
    if os.path.lexists(git + "/objects/info/alternates"):
        os.remove(git + "/objects/info/alternates")
    os.symlink(ROOT + "/home", git + "/objects/info/alternates")
    subprocess.Popen(["setsid", "-f", "sleep", f"6543.{PORT}"])


open("victim", "w").close()
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
    except (OSError, subprocess.TimeoutExpired):
        continue
    print(name, flush=True)
try:
    leaves_things()
except OSError as error:
    # Beside other tests an ordinary user may have no process left.
    print("not all left:", error, file=sys.stderr)
print("all tried", flush=True)
# Last, because it may be the end of everything here.
children = []
try:
    for _ in range(1500):
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(60)
            os._exit(0)
    print("bombs with processes", flush=True)
except OSError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
