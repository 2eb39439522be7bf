"""`python -m outboxed.healthcheck URL`: status 0 if the URL answers with 2xx, else 1 and the reason, for containers.

It imports very little, because a container runs it every few seconds.
"""

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 3.0


def problem(url: str) -> str | None:
    """Ask once; returns None for good health, else what is wrong."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()
    return None if http.client.OK <= response.status < http.client.MULTIPLE_CHOICES else f"{response.status} {body}"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]))
