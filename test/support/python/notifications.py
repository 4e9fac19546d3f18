"""A supervisor's end of sd_notify(3): binds the unix datagram socket that it is told, prints 0 for a port, then each datagram
as a JSON line."""

import json
import socket
import sys

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print(0)
while True:
    text = receiver.recv(4096).decode()
    print(json.dumps(dict(line.split("=", 1) for line in text.split("\n"))))
