"""What another process has set on its connected TCP sockets: one line of JSON. Exit 3 where looking is not allowed."""
import ctypes
import json
import os
import socket
import sys

PIDFD_GETFD = 438  # the same number on every architecture
libc = ctypes.CDLL(None, use_errno=True)


def borrow(pidfd, fd):
    got = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    if got < 0:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(3)
    return got


def options(sock):
    local, peer = sock.getsockname()[1], sock.getpeername()[1]
    return {
        "local": local,
        "peer": peer,
        "noDelay": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
        "keepAlive": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0,
        "idle": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    }


pid = int(sys.argv[1])
pidfd = os.pidfd_open(pid)
found = []
for name in os.listdir(f"/proc/{pid}/fd"):
    try:
        if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
            continue
        with socket.socket(fileno=borrow(pidfd, int(name))) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                found.append(options(sock))
    except OSError:
        continue  # it listens, or has gone meanwhile
print(json.dumps(found))
