"""A chat on python3-tornado: /websocket/{room}/{user}; what one says, all of the room hear, as do they of who comes and goes."""
import asyncio
import collections

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket

rooms = collections.defaultdict(set)


class Chat(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True

    def open(self, room, user):
        self.room, self.user = room, user
        rooms[room].add(self)
        self.tell(f"* {user} joined {room}, {len(rooms[room])} here")

    def on_message(self, message):
        self.tell(f"{self.user}: {message}")

    def on_close(self):
        rooms[self.room].discard(self)
        self.tell(f"* {self.user} left")

    def tell(self, text):
        for member in rooms[self.room]:
            member.write_message(text)


async def main():
    routes = [(r"/websocket/([^/]+)/([^/]+)", Chat)]
    server = tornado.httpserver.HTTPServer(tornado.web.Application(routes))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


asyncio.run(main())
