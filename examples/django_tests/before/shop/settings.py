"""Settings of a shop on Django."""

import os

SECRET_KEY = "only for the example"  # noqa: S105
INSTALLED_APPS = ["shop"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "HOST": os.environ.get("PGHOST", "db.example.com"),
    }
}
