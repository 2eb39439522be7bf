"""Who e-mails are from."""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Annotated

from pydantic import AfterValidator

from outboxed.settings._addresses import parse_host

FORM = 'must be one address, such as shop@shop.example or "Shop, Inc." <shop@shop.example>'
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""RFC 5321's dot-string; up to 64 octets (section 4.5.3.1.1)."""
LONGEST_LOCAL_PART = 64


def parse_sender(text: str) -> str:
    """The From header of exactly one address; a domain beyond ASCII becomes its IDNA form. Raises ValueError.

    A name with a comma needs quotes: without them a mail server reads two addresses, the first without a domain.
    """
    address = _one_address(text)
    if not _LOCAL_PART.fullmatch(address.username) or len(address.username) > LONGEST_LOCAL_PART:
        raise ValueError(f"{FORM}; what is before the @ must be ASCII and without quotes")
    try:
        domain = parse_host(address.domain)
    except ValueError:
        raise ValueError(f"{FORM}; what is after the @ is no domain") from None
    return str(Address(address.display_name, address.username, domain))


def _one_address(text: str) -> Address:
    message = EmailMessage()
    try:
        if not text.isprintable():
            raise ValueError(FORM)  # noqa: TRY301 - told like what the parser refuses
        message["From"] = text
        [group] = message["From"].groups
        address: Address
        [address] = group.addresses
    except (ValueError, MessageError, IndexError):
        raise ValueError(FORM) from None
    if message["From"].defects or group.display_name is not None or not (address.username and address.domain):
        raise ValueError(FORM)
    return address


MailSender = Annotated[str, AfterValidator(parse_sender)]
"""The From header of one address."""
