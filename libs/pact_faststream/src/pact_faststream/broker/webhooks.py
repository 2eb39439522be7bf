"""The broker calls CI when a pact needs a provider's verification."""

from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pact_faststream.broker.answers import Resource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.settings import BrokerSettingError, BrokerSettings

EVENT = "contract_requiring_verification_published"
PAYLOAD = {
    "pact_url": "${pactbroker.pactUrl}",
    "provider": "${pactbroker.providerName}",
    "provider_version": "${pactbroker.providerVersionNumber}",
    "provider_branch": "${pactbroker.providerVersionBranch}",
    "consumer": "${pactbroker.consumerName}",
    "consumer_version": "${pactbroker.consumerVersionNumber}",
    "consumer_branch": "${pactbroker.consumerVersionBranch}",
}
"""GitHub takes at most ten."""


class WebhookSettings(BaseSettings):
    """`WEBHOOK_URL`, and `WEBHOOK_AUTHORIZATION` with the whole header: "Bearer ..."."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOK_", env_ignore_empty=True, frozen=True, extra="ignore")

    url: SecretStr  # it may hold a token
    authorization: SecretStr | None = None


def webhook_id(service: str) -> UUID:
    """An id that depends on the service only: a second call changes the webhook instead of adding one."""
    return uuid5(NAMESPACE_URL, f"pact-broker-webhook:{EVENT}:{service}")


def create_webhook(settings: BrokerSettings, service: str) -> str:
    """Make or change the webhook. Raises BrokerError, BrokerSettingError.

    By HTTP: `pact broker create-or-update-webhook` takes the header only on its command line, which others can see.
    """
    try:
        webhook = WebhookSettings()
    except ValidationError:
        raise BrokerSettingError("WEBHOOK_URL is not set: whom shall the broker call?") from None
    broker = Broker.connect(settings)
    headers = {"Content-Type": "application/json"}
    if webhook.authorization:
        headers["Authorization"] = webhook.authorization.get_secret_value()
    url = webhook.url.get_secret_value()
    body = {
        "description": f"verify {service}",
        "events": [{"name": EVENT}],
        "provider": {"name": service},
        "request": {
            "method": "POST",
            "url": url,
            "headers": headers,
            "body": {"event_type": EVENT, "client_payload": PAYLOAD},
        },
    }
    participant = broker.index.link("pb:pacticipant", pacticipant=service)
    if broker.find(participant, Resource) is None:
        broker.patch(participant, {"name": service})  # a webhook needs its provider, which may not have published yet
    uuid = str(webhook_id(service))
    is_new = broker.put(broker.index.link("pb:webhook", uuid=uuid), body)
    done = "created" if is_new else "updated"
    return f"{done} webhook {uuid}: {urlsplit(url).hostname} is called for each pact that {service} has to verify"
