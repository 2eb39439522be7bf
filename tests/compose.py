"""docker-compose.yml, and which of its containers are what."""

import yaml
from shop_harness.services import SERVICES

from tools.scratch import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS = COMPOSE["services"]
ENVIRONMENTS = {name: container.get("environment", {}) for name, container in CONTAINERS.items()}
ONE_SHOTS = [name for name, each in CONTAINERS.items() if each.get("healthcheck") == {"disable": True}]
OURS = [*SERVICES, "payment-gateway", "console"]
NOBODY_CAN_ASK = {"otel-collector"}
"""Its image has one program, which can't ask whether it's ready; nobody waits for it."""
SERVERS = [name for name in CONTAINERS if name not in {*ONE_SHOTS, *SERVICES, *NOBODY_CAN_ASK}]
WATCHING = [name for name, each in CONTAINERS.items() if each.get("profiles") == ["observability"]]
