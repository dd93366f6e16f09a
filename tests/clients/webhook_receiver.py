"""A receiver of webhooks as its users would write it, with their library: standardwebhooks.

Prints its port, reads the webhook's secret from standard input, and says of every message
whether it is what it says it is.
"""

import http.server
import json
import sys

import standardwebhooks


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        webhook = standardwebhooks.Webhook(self.server.secret)
        try:
            webhook.verify(body.decode(), dict(self.headers))
            said = "verified " + json.loads(body)["type"]
            # The same message, with a letter more.
            try:
                webhook.verify(body.decode() + " ", dict(self.headers))
                said = "a changed body passes"
            except standardwebhooks.WebhookVerificationError:
                pass
        except standardwebhooks.WebhookVerificationError as error:
            said = f"refused: {error}"
        self.send_response(204)
        self.end_headers()
        print(said, flush=True)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.secret = sys.stdin.readline().strip()
while True:
    server.handle_request()
