"""A small web app that starts quickly: one file, no packages. Says which release it is; speaks what test/load asks."""

import hashlib
import http.server
import os
import socket
import socketserver
import sys
import threading
import time
import urllib.parse

RELEASE = os.environ["CUTOVER_RELEASE"]


def ends():
    """Whether the first visitor ends this instance: `always`, or `once` in a run's life."""
    how = os.environ.get("ENDS_WITH_VISITORS")
    mark = os.path.join(os.environ["CUTOVER_SHARED"], "ended-" + os.environ["CUTOVER_RUN"])
    if how == "once" and not os.path.exists(mark):
        open(mark, "w").close()
        return True
    return how == "always"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/version" and os.environ["CUTOVER_INSTANCE"] == "web-0" and ends():
            threading.Thread(target=server.shutdown).start()
        if os.environ.get("BROKEN") == "yes":
            return self.answer(500, "broken on purpose")
        if url.path == "/slow":
            time.sleep(int(urllib.parse.parse_qs(url.query)["ms"][0]) / 1000)
        self.answer(200, f"shop {os.getpid()} {RELEASE}\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, f"{len(body)} {hashlib.sha256(body).hexdigest()}\n")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # What is in hand is answered before the program ends.
    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, where):
        if not where.isdigit():
            self.address_family = socket.AF_UNIX
        super().__init__(("127.0.0.1", int(where)) if where.isdigit() else where, Handler)


server = Server(sys.argv[1])
server.serve_forever()
server.server_close()
