"""A mail server, aiosmtpd, that does as a test wants.

Arguments: a way to fail (`none`, `vanish-in-data`, `vanish-before-ok`, `refuse-recipient`,
`busy`, `hold-in-data`, `hold-before-ok`) and how often, then optionally a certificate, its key, a user and a password: TLS from
the first byte, and nothing without the log-in. Prints its port, then a line for each thing
that happened.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

HOW, TIMES = sys.argv[1], int(sys.argv[2])
TLS = sys.argv[3:5]
LOGIN = [text.encode() for text in sys.argv[5:7]]


def say(**what):
    print(json.dumps(what), flush=True)


class Server(SMTP):
    left = TIMES

    def fails(self, how):
        if HOW == how and Server.left > 0:
            Server.left -= 1
            return True
        return False

    async def smtp_DATA(self, arg):
        if self.fails("vanish-in-data"):
            await self.push("354 go on")
            await self._reader.readline()
            say(happened="vanished in the mail")
            self.transport.abort()
            return
        if self.fails("hold-in-data"):
            await self.push("354 go on")
            line = b""
            while not line.lower().startswith(b"message-id:"):
                line = await self._reader.readline()
            say(happened="holds the mail", message_id=line.decode().split(":", 1)[1].strip())
            await asyncio.Event().wait()
        await super().smtp_DATA(arg)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if server.fails("refuse-recipient"):
            say(happened="refused")
            return "550 no such mailbox"
        if server.fails("busy"):
            say(happened="busy")
            return "450 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            happened="mail",
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            message_id=message["Message-ID"],
            subject=message["Subject"],
            date=message["Date"],
            text=message.get_content(),
            user=getattr(session, "login", None),
        )
        if server.fails("hold-before-ok"):
            await asyncio.Event().wait()
        if server.fails("vanish-before-ok"):
            say(happened="vanished before the answer")
            server.transport.abort()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    session.login = data.login.decode()
    return AuthResult(success=[data.login, data.password] == LOGIN, handled=False)


async def main():
    tls = None
    if TLS:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*TLS)
    login = {"auth_required": True, "auth_require_tls": False, "authenticator": authenticate} if LOGIN else {}
    make = lambda: Server(Handler(), hostname="mail.test", **login)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
