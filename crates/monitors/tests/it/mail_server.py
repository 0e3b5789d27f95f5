"""A mail server that takes what comes over TLS from who logs in, and prints it as JSON. Arguments: port, certificate, key, password."""

import email
import email.policy
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

port, certificate, key, password = sys.argv[1:]


class Printer:
    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": letter["subject"], "text": letter.get_content()}
        print(json.dumps(told), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, shown):
    is_known = isinstance(shown, LoginPassword) and shown.login == b"roadbed" and shown.password == password.encode()
    return AuthResult(success=is_known)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
Controller(
    Printer(), hostname="localhost", port=int(port), tls_context=context, require_starttls=True,
    authenticator=authenticate, auth_required=True,
).start()
print("ready", flush=True)
time.sleep(600)
