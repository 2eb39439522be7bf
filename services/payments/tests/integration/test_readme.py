"""The service's canvas names what there is."""

import re
from pathlib import Path

from payments.app import NAME
from payments.consumers import ROUTES
from payments.events import PUBLISHED
from payments.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    documented = set(re.findall(rf"{NAME.upper()}_[A-Z_]+", README))

    assert documented == {Settings.variable(field) for field in Settings.model_fields}


def test_every_event_in_and_out_is_in_the_readme() -> None:
    events = {event.type for event in PUBLISHED} | {route.model.type for route in ROUTES}

    assert set(re.findall(r"`((?:order|payment)\.\w+\.v\d)`", README)) == events
