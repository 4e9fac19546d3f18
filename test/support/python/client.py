"""A client on python3-websockets: reads a plan from standard input, goes through its steps, reports as JSON."""
import asyncio
import base64
import hashlib
import json
import sys

import websockets


def shorten(message):
    data = message.encode() if isinstance(message, str) else message
    if isinstance(message, str) and len(data) <= 200:
        return message
    return {"sha256": hashlib.sha256(data).hexdigest(), "length": len(data)}


async def walk(connection, steps, received):
    for step in steps:
        if "send" in step:
            await connection.send(step["send"])
        elif "repeat" in step:
            await connection.send(step["repeat"] * step["times"])
        elif "bytes" in step:
            await connection.send(base64.b64decode(step["bytes"]))
        elif "receive" in step:
            for _ in range(step["receive"]):
                received.append(shorten(await asyncio.wait_for(connection.recv(), 20)))
        elif "close" in step:
            await connection.close(step["close"], step["reason"])


async def main():
    plan = json.load(sys.stdin)
    report = {"refused": None, "subprotocol": None, "extensions": [], "received": [], "code": None, "reason": None}
    try:
        connection = await websockets.connect(
            plan["url"],
            origin=plan.get("origin"),
            subprotocols=plan.get("subprotocols"),
            compression="deflate" if plan.get("compression", True) else None,
            max_size=None,
        )
    except websockets.InvalidStatusCode as refusal:
        fields = {name.lower(): value for name, value in refusal.headers.raw_items()}
        report["refused"] = {"status": refusal.status_code, "fields": fields}
    else:
        try:
            await walk(connection, plan["steps"], report["received"])
            await connection.close()
        except websockets.ConnectionClosed:
            pass
        report["subprotocol"] = connection.subprotocol
        report["extensions"] = [extension.name for extension in connection.extensions]
        report["code"] = connection.close_code
        report["reason"] = connection.close_reason
    print(json.dumps(report))


asyncio.run(main())
