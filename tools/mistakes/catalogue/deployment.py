"""Mistakes in compose, images, roles and topics: nothing runs them before they are deployed."""

from tools.mistakes.mistake import SHOP, Mistake, swap
from tools.scratch import Edit

COMPOSE = "docker-compose.yml"
DOCKERFILES = "services/*/Dockerfile"
SANDBOX_DOCKERFILE = "sandbox/Dockerfile"
DATABASES, TOPICS = "deploy/postgres/create-databases.sh", "deploy/kafka/create-topics.sh"


def line(text: str) -> str:
    """A regular expression for a whole line that ends with this text, and for its comment."""
    return rf"^[^\n]*{text}[^\n]*\n"


MISTAKES = (
    Mistake(
        "the services' images run as root",
        "Whoever gets into one owns it.",
        SHOP,
        (Edit(DOCKERFILES, line("USER 10001"), ""),),
    ),
    Mistake(
        "the sandbox's image runs as root",
        "Whoever gets into it owns it.",
        SHOP,
        (Edit(SANDBOX_DOCKERFILE, line("USER [0-9]+"), ""),),
    ),
    Mistake(
        "an image asks whether it is ready, not whether it lives",
        "A scheduler replaces all processes while a database is away.",
        SHOP,
        (swap(DOCKERFILES, "/health/live", "/health/ready"),),
    ),
    Mistake(
        "an image says nothing of its health",
        "A process that hangs stays.",
        SHOP,
        (Edit(DOCKERFILES, r"^HEALTHCHECK[^\n]*\\\n[^\n]*\n", ""),),
    ),
    Mistake(
        "images are built with what is newest on the day",
        "Two builds of one commit differ.",
        SHOP,
        (swap(DOCKERFILES, "uv sync --frozen", "uv sync"),),
    ),
    Mistake(
        "images have the tools of development",
        "They are three times as large, and have more holes.",
        SHOP,
        (swap(DOCKERFILES, " --no-dev", ""),),
    ),
    Mistake(
        "an image isn't labelled with its revision",
        "Nobody knows what runs.",
        SHOP,
        (Edit(DOCKERFILES, r' \\\n[^\n]*image\.revision="\$\{REVISION\}"', ""),),
    ),
    Mistake(
        "a password is in an image",
        "Whoever can pull it is in.",
        SHOP,
        (Edit(DOCKERFILES, r"(HTTP_HOST=0\.0\.0\.0)", r"\1 DATABASE_PASSWORD=secret"),),
    ),
    Mistake(
        "tests and caches get into the images' build",
        "Each change of a test builds everything anew.",
        SHOP,
        (swap(".dockerignore", "**/tests\n", ""),),
    ),
    Mistake(
        "everything gets into the images' build",
        "A developer's .env is in a layer.",
        SHOP,
        (swap(".dockerignore", "*\n!pyproject.toml\n", "!pyproject.toml\n"), swap(".dockerignore", "**/.*\n", "")),
    ),
    Mistake(
        "a container may write to its own image",
        "Whoever gets in can change the program.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  read_only: true\n", r"\1"),),
    ),
    Mistake(
        "a container keeps the capabilities that Docker gives",
        "Whoever gets in can do more than the program.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  cap_drop: \[ALL\]\n", r"\1"),),
    ),
    Mistake(
        "a container may gain privileges",
        "Whoever gets in can become root by a setuid file.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  security_opt: [^\n]+\n", r"\1"),),
    ),
    Mistake(
        "a container may take all memory",
        "One service ends the others.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  mem_limit: 256m\n", r"\1"),),
    ),
    Mistake(
        "a service that ends stays away",
        "One error at night, and nobody pays until morning.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  restart: on-failure\n", r"\1"),),
    ),
    Mistake(
        "a service is killed while its last call runs",
        "Each deployment leaves charges whose outcome nobody knows.",
        SHOP,
        (swap(COMPOSE, "stop_grace_period: 35s", "stop_grace_period: 10s"),),
    ),
    Mistake(
        "images are pulled where somebody else may own the name",
        "A stranger's program runs.",
        SHOP,
        (Edit(COMPOSE, r"(x-service: &service\n.*?)  pull_policy: never\n", r"\1"),),
    ),
    Mistake(
        "PostgreSQL is open to the network",
        "Everybody knows its password.",
        SHOP,
        (swap(COMPOSE, '"127.0.0.1:${POSTGRES_PORT', '"0.0.0.0:${POSTGRES_PORT'),),
    ),
    Mistake(
        "an image is whatever is newest",
        "Tomorrow's Kafka comes by itself.",
        SHOP,
        (swap(COMPOSE, "apache/kafka:4.3.1", "apache/kafka:latest"),),
    ),
    Mistake(
        "Kafka makes topics by itself",
        "They have one partition, and their keys move when somebody mends it.",
        SHOP,
        (swap(COMPOSE, 'KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false"', 'KAFKA_AUTO_CREATE_TOPICS_ENABLE: "true"'),),
    ),
    Mistake(
        "Kafka's records are in the container",
        "They are gone with it.",
        SHOP,
        (Edit(COMPOSE, line(r'volumes: \["kafka:'), ""),),
    ),
    Mistake(
        "PostgreSQL's data is in the container",
        "It is gone with it.",
        SHOP,
        (Edit(COMPOSE, line(r'volumes: \["postgres:'), ""),),
    ),
    Mistake(
        "a service starts beside its migration",
        "Its first statements fail.",
        SHOP,
        (Edit(COMPOSE, r"      payments-migrate: \{condition: service_completed_successfully\}\n", ""),),
    ),
    Mistake(
        "a service starts while Kafka has no topics",
        "Its consumer logs errors until they are there.",
        SHOP,
        (
            swap(
                COMPOSE,
                "kafka-topics: {condition: service_completed_successfully}",
                "kafka-topics: {condition: service_started}",
            ),
        ),
    ),
    Mistake(
        "`up --wait` returns when a service lives",
        "The first call after it fails.",
        SHOP,
        (swap(COMPOSE, "8001/health/ready", "8001/health/live"),),
    ),
    Mistake(
        "a service waits for a server that nobody asks about",
        "It starts before PostgreSQL does.",
        SHOP,
        (Edit(COMPOSE, r"(  postgres:\n.*?)    healthcheck:\n.*?(    stop_grace)", r"\1\2"),),
    ),
    Mistake(
        "a service has another one's database",
        "Two services change one table.",
        SHOP,
        (
            swap(
                COMPOSE,
                "postgresql+asyncpg://payments@postgres:5432/payments",
                "postgresql+asyncpg://payments@postgres:5432/orders",
            ),
        ),
    ),
    Mistake(
        "a service's database role may do anything",
        "One service can read all databases.",
        SHOP,
        (swap(DATABASES, "login password", "login superuser password"),),
    ),
    Mistake(
        "every role may connect to every database",
        "One service can read another's tables.",
        SHOP,
        (Edit(DATABASES, line(r'revoke all on database :"name" from public;'), ""),),
    ),
    Mistake(
        "a script goes on after an error",
        "A database is half made, and nobody is told.",
        SHOP,
        (swap(DATABASES, "--set ON_ERROR_STOP=1 ", ""),),
    ),
    Mistake(
        "Kafka forgets records after a day",
        "A consumer that was away for a weekend loses events.",
        SHOP,
        (swap(TOPICS, "RETENTION_MS=$((7 * 24", "RETENTION_MS=$((24"),),
    ),
    Mistake(
        "Kafka keeps records for a month",
        "The inbox forgets them sooner, and a copy takes effect twice.",
        SHOP,
        (swap(TOPICS, "RETENTION_MS=$((7 * 24", "RETENTION_MS=$((30 * 24"),),
    ),
    Mistake(
        "topics are compacted",
        "Of the events of an order only the last one stays.",
        SHOP,
        (
            swap(
                TOPICS,
                '--config retention.ms="$RETENTION_MS"',
                '--config cleanup.policy=compact --config retention.ms="$RETENTION_MS"',
            ),
        ),
    ),
    Mistake(
        "an acknowledged record may be on one broker alone",
        "It is lost with that broker.",
        SHOP,
        (swap(TOPICS, ' --config min.insync.replicas="$MIN_INSYNC_REPLICAS"', ""),),
    ),
    Mistake(
        "a topic that can't be made is passed over",
        "The services start without it.",
        SHOP,
        (Edit(TOPICS, r'for one in "\$\{running\[@\]\}"; do\n    wait "\$one"\ndone', "wait"),),
    ),
    Mistake(
        "a topic has fewer partitions in compose than in its service",
        "Half of the processes have nothing to do.",
        SHOP,
        (swap(COMPOSE, "TOPICS: orders=12 payments=12", "TOPICS: orders=12 payments=3"),),
    ),
)
