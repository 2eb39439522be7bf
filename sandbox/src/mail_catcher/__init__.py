"""Catches every e-mail: SMTP in, Mailpit's HTTP API out, and faults on demand."""

from mail_catcher.api import create_app
from mail_catcher.faults import Faults
from mail_catcher.smtp import SmtpServer
from mail_catcher.store import Store

__all__ = ["Faults", "SmtpServer", "Store", "create_app"]
