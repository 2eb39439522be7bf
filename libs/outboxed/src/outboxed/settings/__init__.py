"""Settings from the environment: each is parsed once, into a type; a wrong one is one line that names the variable."""

from typing import TYPE_CHECKING

from outboxed._extras import exports_of
from outboxed.settings._addresses import Host, HttpUrl, Port, parse_bootstrap_servers
from outboxed.settings._database import Database, forget_libpq_variables
from outboxed.settings._files import CaFile, check_system_authorities
from outboxed.settings._kafka import KafkaSettings, SaslMechanism, SecurityProtocol
from outboxed.settings._mail import MailSender

if TYPE_CHECKING:
    from outboxed.settings._keys import PublicKey, load_public_key
    from outboxed.settings._process import ProcessSettings, load
    from outboxed.settings._service import S, ServiceSettings
    from outboxed.settings._variables import BootstrapServers, DatabaseUrl

__all__ = [
    "BootstrapServers",
    "CaFile",
    "Database",
    "DatabaseUrl",
    "Host",
    "HttpUrl",
    "KafkaSettings",
    "MailSender",
    "Port",
    "ProcessSettings",
    "PublicKey",
    "S",
    "SaslMechanism",
    "SecurityProtocol",
    "ServiceSettings",
    "check_system_authorities",
    "forget_libpq_variables",
    "load",
    "load_public_key",
    "parse_bootstrap_servers",
]

__getattr__ = exports_of(
    __name__,
    {
        ("service", "_keys"): ("PublicKey", "load_public_key"),
        ("service", "_process"): ("ProcessSettings", "load"),
        ("service", "_service"): ("S", "ServiceSettings"),
        ("service", "_variables"): ("BootstrapServers", "DatabaseUrl"),
    },
)
