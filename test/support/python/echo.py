"""An echo server on python3-websockets. It negotiates permessage-deflate with its own window bits and a subprotocol,
tells each handshake and each end as a JSON line, and closes with the code of a message "close <code> <reason>"."""
import asyncio
import json

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


def tell(**event):
    print(json.dumps(event))


async def echo(connection):
    tell(
        event="open",
        path=connection.path,
        subprotocol=connection.subprotocol,
        extensions=connection.response_headers.get("Sec-WebSocket-Extensions"),
        fields=[[name, value] for name, value in connection.request_headers.raw_items()],
    )
    try:
        async for message in connection:
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await connection.close(int(code), reason)
            else:
                await connection.send(message)
    finally:
        tell(event="closed", path=connection.path, code=connection.close_code, reason=connection.close_reason)


async def main():
    deflate = ServerPerMessageDeflateFactory(
        server_max_window_bits=11,
        client_max_window_bits=10,
        compress_settings={"memLevel": 4},
    )
    async with websockets.serve(
        echo,
        "127.0.0.1",
        0,
        extensions=[deflate],
        compression=None,
        subprotocols=["chat.v2", "chat.v1"],
        max_size=None,
    ) as server:
        print(server.sockets[0].getsockname()[1])
        await asyncio.Future()


asyncio.run(main())
