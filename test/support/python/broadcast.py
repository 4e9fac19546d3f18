"""A WebSocket server written by hand on a bare socket, as people did before there were libraries, odd and yet valid: its
own reason phrase, `Upgrade: WebSocket`, small field names, no Date. Every text goes to all clients. A Close is answered."""
import base64
import hashlib
import socket
import struct
import threading

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
clients = set()
lock = threading.Lock()


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def read_frame(stream):
    first, second = read_exactly(stream, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", read_exactly(stream, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", read_exactly(stream, 8))
    if not second & 0x80:
        raise ValueError("a client's frame must be masked")
    key = read_exactly(stream, 4)
    payload = read_exactly(stream, length)
    return first & 0x0F, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def frame(opcode, payload):
    if len(payload) < 126:
        return bytes([0x80 | opcode, len(payload)]) + payload
    return bytes([0x80 | opcode, 126]) + struct.pack(">H", len(payload)) + payload


def serve(client):
    stream = client.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return client.close()
        head += line
    fields = {}
    for line in head.decode("latin1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    digest = hashlib.sha1((fields["sec-websocket-key"] + GUID).encode()).digest()
    client.sendall(
        b"HTTP/1.1 101 WebSocket Protocol Hybi-10\r\n"
        b"Upgrade: WebSocket\r\n"
        b"Connection: Upgrade\r\n"
        b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n" + frame(1, b"welcome")
    )
    with lock:
        clients.add(client)
    try:
        while True:
            opcode, payload = read_frame(stream)
            if opcode == 8:
                client.sendall(frame(8, payload))
                break
            if opcode in (1, 2):
                with lock:
                    for other in clients:
                        other.sendall(frame(opcode, payload))
            elif opcode == 9:
                client.sendall(frame(10, payload))
    except (EOFError, OSError):
        pass
    finally:
        with lock:
            clients.discard(client)
        stream.close()
        client.close()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1])
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
