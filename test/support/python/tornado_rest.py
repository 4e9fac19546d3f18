"""A REST server on python3-tornado: bodies streamed both ways, Server-Sent Events, and tornado's own errors. What is
said by POST /say goes to all who listen to /events at once; a JSON line is printed for each thing a test waits for."""
import asyncio
import hashlib
import json

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

listeners = set()


def tell(**event):
    print(json.dumps(event))


@tornado.web.stream_request_body
class Upload(tornado.web.RequestHandler):
    def prepare(self):
        self.length = 0
        self.digest = hashlib.sha256()

    def data_received(self, chunk):
        if self.length == 0:
            tell(event="begun", uri=self.request.uri)
        self.length += len(chunk)
        self.digest.update(chunk)

    def put(self):
        coding = self.request.headers.get("Transfer-Encoding")
        self.write({"length": self.length, "sha256": self.digest.hexdigest(), "coding": coding})

    def on_connection_close(self):
        tell(event="upload gone")


@tornado.web.stream_request_body
class Echo(tornado.web.RequestHandler):
    """Sends each part back as it comes, before the next."""

    async def data_received(self, chunk):
        self.write(chunk)
        await self.flush()

    def post(self):
        pass


class Events(tornado.web.RequestHandler):
    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        said = asyncio.Queue()
        listeners.add(said)
        await self.flush()
        tell(event="listening", who=self.get_argument("who"), last=self.request.headers.get("Last-Event-ID"))
        self.said = said
        while (text := await said.get()) is not None:
            self.write(f"id: {text}\ndata: {text}\n\n")
            await self.flush()
        listeners.discard(said)

    def on_connection_close(self):
        listeners.discard(self.said)
        self.said.put_nowait(None)
        tell(event="listener gone", who=self.get_argument("who"))


class Say(tornado.web.RequestHandler):
    def post(self):
        for listener in list(listeners):
            listener.put_nowait(self.request.body.decode() or None)


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write("<!doctype html><title>events</title>")


class Seen(tornado.web.RequestHandler):
    def get(self):
        self.write({name: self.request.headers.get_list(name) for name in self.request.headers})


class Broken(tornado.web.RequestHandler):
    def get(self, how):
        if how == "teapot":
            raise tornado.web.HTTPError(418, reason="Short and stout")
        if how == "half":
            self.set_header("Content-Length", "10")
            self.write("half")
            self.flush()
            self.request.connection.stream.close()
            return
        raise RuntimeError("not handled")


class Server(tornado.web.Application):
    def log_request(self, handler):
        pass


async def main():
    routes = [
        (r"/upload", Upload),
        (r"/echo", Echo),
        (r"/events", Events),
        (r"/say", Say),
        (r"/page", Page),
        (r"/seen", Seen),
        (r"/broken/(\w+)", Broken),
    ]
    server = tornado.httpserver.HTTPServer(Server(routes), max_body_size=8 * 1024 * 1024)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


asyncio.run(main())
