"""Mail, by the standard library in a thread: one server takes a message, or the caller hears why not."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from monitor.settings import Anchors

#: Of each step of the conversation, seconds.
LIMIT_S = 20.0


class MailFailed(Exception):
    """The server did not take the message; the text says why."""


async def send(settings: Anchors, to: Sequence[str], subject: str, text: str) -> None:
    """Hand a plain text message to the server for all of `to`. Raises MailFailed."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = settings.mail_from
    message["To"] = ", ".join(to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        await asyncio.to_thread(_deliver, settings, message)
    except (smtplib.SMTPException, OSError) as error:
        raise MailFailed((str(error) or type(error).__name__).splitlines()[0][:200]) from None


def _deliver(settings: Anchors, message: EmailMessage) -> None:
    host, _, port = settings.smtp.rpartition(":")
    host = host.strip("[]")
    trusted = ssl.create_default_context(cafile=settings.ca_file or None)
    client = (
        smtplib.SMTP_SSL(host, int(port), timeout=LIMIT_S, context=trusted)
        if settings.tls == "tls"
        else smtplib.SMTP(host, int(port), timeout=LIMIT_S)
    )
    with client:
        if settings.tls == "starttls":
            client.starttls(context=trusted)
        if settings.username:
            client.login(settings.username, settings.password.get_secret_value())
        refused = client.send_message(message)
    if refused:
        raise smtplib.SMTPRecipientsRefused(refused)
