"""A push server on python3-websockets: "hello world" at once and every so often, to every client."""
import argparse
import asyncio

import websockets

parser = argparse.ArgumentParser()
parser.add_argument("--every", type=float, default=0.05, help="seconds")
parser.add_argument("--port", type=int, default=0)
options = parser.parse_args()


async def push(connection):
    try:
        while True:
            await connection.send("hello world")
            await asyncio.sleep(options.every)
    except websockets.ConnectionClosed:
        pass


async def main():
    async with websockets.serve(push, "127.0.0.1", options.port) as server:
        print(server.sockets[0].getsockname()[1])
        await asyncio.Future()


asyncio.run(main())
