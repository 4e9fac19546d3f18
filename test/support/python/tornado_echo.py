"""An echo server on python3-tornado that judges the Origin itself: only https://app.example.com may connect."""
import asyncio

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket


class Echo(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin):
        return origin == "https://app.example.com"

    def get_compression_options(self):
        return {}

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


async def main():
    server = tornado.httpserver.HTTPServer(tornado.web.Application([(r"/echo", Echo)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


asyncio.run(main())
