"""An HTTP server on Python's http.server: 200 to everything, one line of JSON for each request it has seen whole.
/healthz is 200 too and is not told. Keeps connections."""
import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
options = parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out in one write: a kill between two of them would leave half an answer, which no gateway can mend.
    wbufsize = -1

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/healthz":
            # One write, so that lines of two threads do not mix.
            sys.stdout.write(json.dumps({"id": self.headers.get("X-Id"), "method": self.command}) + "\n")
            sys.stdout.flush()
        body = b"ok from python\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


server = Server(("127.0.0.1", options.port), Handler)
print(server.server_address[1])
sys.stdout.flush()
server.serve_forever()
