import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mail_catcher.smtp import Login

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MAILBOX_")

    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 1025
    http_host: str = "127.0.0.1"
    http_port: Port = 8025
    max_messages: Annotated[int, Field(ge=1)] = 10_000
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both MAILBOX_TLS_CERTIFICATE and MAILBOX_TLS_KEY, or neither")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("set both MAILBOX_SMTP_USERNAME and MAILBOX_SMTP_PASSWORD, or neither")
        if self.smtp_username is not None and self.tls_certificate is None:
            raise ValueError("MAILBOX_SMTP_USERNAME needs MAILBOX_TLS_CERTIFICATE: a login goes over TLS only")
        return self

    @property
    def login(self) -> Login | None:
        if self.smtp_username is None or self.smtp_password is None:
            return None
        return Login(self.smtp_username, self.smtp_password.get_secret_value())

    def tls(self) -> ssl.SSLContext | None:
        """Read the certificate; OSError (ssl.SSLError is one) when it can't be."""
        if self.tls_certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.tls_certificate, self.tls_key)
        return context
