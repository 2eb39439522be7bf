"""What the tests use: a PostgreSQL that starts with them. Django makes and empties its test database as ever."""

import pytest
from backing_services.postgres import PostgresServer, django_address
from django.db import connections


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    postgres_server: PostgresServer,
    django_db_modify_db_settings_parallel_suffix: None,  # noqa: ARG001 - it comes first
) -> None:
    connections["default"].settings_dict |= django_address(postgres_server)
