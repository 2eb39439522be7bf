"""Mistakes in compose, images, roles and topics: nothing runs them before they are deployed."""

from tools.mistakes.mistake import SHOP, Mistake, swap
from tools.scratch import Edit

COMPOSE = "docker-compose.yml"
DOCKERFILES = "services/*/Dockerfile"
SANDBOX_DOCKERFILE = "sandbox/Dockerfile"
DATABASES, TOPICS = "deploy/postgres/create-databases.sh", "deploy/kafka/create-topics.sh"
OBSERVABILITY = "deploy/observability"
RULES = f"{OBSERVABILITY}/alerts*.yml"
DESCRIPTION = "tools/alarms/description.py"


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
    Mistake(
        "the gateway's program is a shell's child",
        "SIGTERM doesn't reach it: each stop is a kill.",
        SHOP,
        (swap(SANDBOX_DOCKERFILE, 'CMD ["python", "-m", "payment_gateway"]', "CMD python -m payment_gateway"),),
    ),
    Mistake(
        "the log of a container comes when its buffer is full",
        "The last lines before a crash are lost.",
        SHOP,
        (swap(SANDBOX_DOCKERFILE, " PYTHONUNBUFFERED=1", ""),),
    ),
    Mistake(
        "the sandbox's packages are a link to a folder that isn't in its image",
        "It doesn't start.",
        SHOP,
        (swap(SANDBOX_DOCKERFILE, " --no-editable", ""),),
    ),
    Mistake(
        "the user of an image owns its program",
        "Whoever gets in can change it.",
        SHOP,
        (swap(SANDBOX_DOCKERFILE, "COPY --from=build /app", "COPY --from=build --chown=10001 /app"),),
    ),
    Mistake(
        "images have a Python that nobody tests",
        "They break where the tests pass.",
        SHOP,
        (
            swap("*/Dockerfile", "python:3.11-slim", "python:3.9-slim"),
            swap(DOCKERFILES, "python:3.11-slim", "python:3.9-slim"),
        ),
    ),
    Mistake(
        "PostgreSQL lets everybody in",
        "Whoever reaches its port has all data.",
        SHOP,
        (
            swap(
                COMPOSE,
                "      POSTGRES_USER: postgres\n",
                "      POSTGRES_USER: postgres\n      POSTGRES_HOST_AUTH_METHOD: trust\n",
            ),
        ),
    ),
    Mistake(
        "a password of compose can't be changed",
        "It is the one that everybody knows.",
        SHOP,
        (
            swap(
                COMPOSE,
                "GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_PASSWORD:-grafana}",
                "GF_SECURITY_ADMIN_PASSWORD: grafana",
            ),
        ),
    ),
    Mistake(
        "a container has the engine's socket",
        "Whoever gets in owns the machine.",
        SHOP,
        (
            swap(
                COMPOSE,
                '["payment-gateway:/var/lib/payment-gateway"]',
                '["payment-gateway:/var/lib/payment-gateway", "/var/run/docker.sock:/var/run/docker.sock"]',
            ),
        ),
    ),
    Mistake(
        "a container may change a script of this folder",
        "What it writes is run by the next one.",
        SHOP,
        (swap(COMPOSE, "create-topics.sh:/create-topics.sh:ro", "create-topics.sh:/create-topics.sh"),),
    ),
    Mistake(
        "PostgreSQL is killed while it writes",
        "Each stop ends in a recovery.",
        SHOP,
        (Edit(COMPOSE, r"(  postgres:\n.*?stop_grace_period: )30s", r"\g<1>1s"),),
    ),
    Mistake(
        "PostgreSQL is ready while it makes its databases",
        "The script that needs it fails once in a while.",
        SHOP,
        (swap(COMPOSE, "--quiet, --host, 127.0.0.1, --username, postgres", "--quiet, --username, postgres"),),
    ),
    Mistake(
        "a setting of a service can't be changed in compose",
        "A person sets it, and nothing happens.",
        SHOP,
        (swap(COMPOSE, "${ORDERS_PAYMENT_DEADLINE_SECONDS:-900}", '"900"'),),
    ),
    Mistake(
        "a setting has another default in compose than in its service",
        "The shop in containers is another one than on this machine.",
        SHOP,
        (swap(COMPOSE, "${PAYMENTS_GATEWAY_TIMEOUT_SECONDS:-2}", "${PAYMENTS_GATEWAY_TIMEOUT_SECONDS:-20}"),),
    ),
    Mistake(
        "the login of the collector isn't passed on",
        "Spans are refused, and only there.",
        SHOP,
        (swap(COMPOSE, "  OTEL_EXPORTER_OTLP_HEADERS:\n", ""),),
    ),
    Mistake(
        "Prometheus forgets after three days",
        "The month's budget is one of three days.",
        SHOP,
        (swap(COMPOSE, "retention.time=31d", "retention.time=3d"),),
    ),
    Mistake(
        "Prometheus keeps no exemplars",
        "No point of a histogram leads to its trace.",
        SHOP,
        (Edit(COMPOSE, line("exemplar-storage"), ""),),
    ),
    Mistake(
        "Prometheus asks every five minutes",
        "A rate of five minutes has one point, and no alarm rings.",
        SHOP,
        (swap(f"{OBSERVABILITY}/prometheus.yml", "scrape_interval: 5s", "scrape_interval: 5m"),),
    ),
    Mistake(
        "whoever reaches Grafana is its administrator",
        "They read what its sources hold.",
        SHOP,
        (
            swap(
                COMPOSE,
                '      GF_AUTH_ANONYMOUS_ENABLED: "true"\n',
                '      GF_AUTH_ANONYMOUS_ENABLED: "true"\n      GF_AUTH_ANONYMOUS_ORG_ROLE: Admin\n',
            ),
        ),
    ),
    Mistake(
        "the collector takes spans until its memory is full",
        "It is killed, and all that it holds is gone.",
        SHOP,
        (swap(f"{OBSERVABILITY}/otel-collector.yml", "[memory_limiter, batch]", "[batch]"),),
    ),
    Mistake(
        "an alarm of one service hides that of another",
        "The second one is seen when the first is over.",
        SHOP,
        (swap(f"{OBSERVABILITY}/alertmanager.yml", "group_by: [alertname, job]", "group_by: [alertname]"),),
    ),
    Mistake(
        "a service's role may read all databases",
        "One service reads another's tables.",
        SHOP,
        (
            swap(
                DATABASES,
                "login password :'password';",
                "login password :'password';\ngrant pg_read_all_data to :\"name\";",
            ),
        ),
    ),
    Mistake(
        "the script of the databases says what it does",
        "All passwords are in the log.",
        SHOP,
        (swap(DATABASES, "set -euo pipefail", "set -euxo pipefail"),),
    ),
    Mistake(
        "an alarm listens to a figure that no process gives",
        "It never rings.",
        SHOP,
        (
            swap(DESCRIPTION, "(orders_overdue)", "(orders_late)"),
            swap(RULES, "(orders_overdue)", "(orders_late)"),
            swap(RULES, "series: orders_overdue{", "series: orders_late{"),
        ),
    ),
    Mistake(
        "an alarm is about a kind of tasks that there isn't",
        "It never rings, and another one rings in its place.",
        SHOP,
        (
            swap(DESCRIPTION, 'kind="refund"', 'kind="refunds"'),
            swap(DESCRIPTION, 'kind!="refund"', 'kind!="refunds"'),
            swap(RULES, 'kind="refund"', 'kind="refunds"'),
            swap(RULES, 'kind!="refund"', 'kind!="refunds"'),
        ),
    ),
    Mistake(
        "a runbook names a line of the log that nobody writes",
        "Whoever is woken looks for it in vain.",
        SHOP,
        (swap("docs/runbooks/outbox-stuck.md", "`kafka_refuses_topic`", "`kafka_refuses_the_topic`"),),
    ),
    Mistake(
        "a service asks Kafka at the address for this machine",
        "It is let in, and told to go on at 127.0.0.1: it reads and sends nothing.",
        SHOP,
        (swap(COMPOSE, "ORDERS_KAFKA_BOOTSTRAP_SERVERS: kafka:19092", "ORDERS_KAFKA_BOOTSTRAP_SERVERS: kafka:9092"),),
    ),
    Mistake(
        "Kafka tells containers an address of this machine",
        "No service reads or sends anything.",
        SHOP,
        (swap(COMPOSE, "INTERNAL://kafka:19092", "INTERNAL://127.0.0.1:19092"),),
    ),
    Mistake(
        "a service looks for a container that isn't there",
        "No customer gets an e-mail.",
        SHOP,
        (swap(COMPOSE, "NOTIFICATIONS_SMTP_HOST: mailbox", "NOTIFICATIONS_SMTP_HOST: mailpit"),),
    ),
    Mistake(
        "a service looks for another one where nobody listens",
        "No order is paid.",
        SHOP,
        (
            swap(
                COMPOSE,
                "PAYMENTS_GATEWAY_URL: http://payment-gateway:8090",
                "PAYMENTS_GATEWAY_URL: http://payment-gateway",
            ),
        ),
    ),
    Mistake(
        "the console asks for e-mails at the port of SMTP",
        "Its mailbox is an error.",
        SHOP,
        (swap(COMPOSE, "http://mailbox:8025", "http://mailbox:1025"),),
    ),
    Mistake(
        "what `up` makes once must not be there",
        "The second `up` fails.",
        SHOP,
        (swap(COMPOSE, ", operator@shop.example, --unless-there]", ", operator@shop.example]"),),
    ),
    Mistake(
        "a container runs one role of its service",
        "Orders are taken, and no payment is asked for.",
        SHOP,
        (
            swap(
                COMPOSE,
                "    environment: *orders-environment\n    ports",
                "    command: [python, -m, orders, --role, api]\n    environment: *orders-environment\n    ports",
            ),
        ),
    ),
    Mistake(
        "all images run one role of their service",
        "Orders are taken, and nothing is sent, read or charged.",
        SHOP,
        (Edit(DOCKERFILES, r'^CMD \["python", "-m", "(\w+)"\]', r'CMD ["python", "-m", "\1", "--role", "api"]'),),
    ),
    Mistake(
        "docker cuts a check off before that says what is wrong",
        "A slow process counts as dead, and is replaced.",
        SHOP,
        (Edit("*/Dockerfile", "--timeout=5s", "--timeout=1s"), Edit(DOCKERFILES, "--timeout=5s", "--timeout=1s")),
    ),
    Mistake(
        "docker asks once an hour whether a container is ready",
        "`up --wait` takes an hour.",
        SHOP,
        (swap(COMPOSE, "x-healthcheck: &healthcheck\n  interval: 3s", "x-healthcheck: &healthcheck\n  interval: 1h"),),
    ),
    Mistake(
        "products are put into tables that aren't there yet",
        "A first `up` fails, now and then.",
        SHOP,
        (
            Edit(
                COMPOSE,
                r"(seed-products\]\n    environment: \*orders-environment\n    depends_on:\n      )orders-migrate",
                r"\1postgres-databases",
            ),
        ),
    ),
    Mistake(
        "Kafka waits for more brokers than there are",
        "No consumer ever starts.",
        SHOP,
        (
            swap(
                COMPOSE,
                'KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1"',
                'KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "3"',
            ),
        ),
    ),
    Mistake(
        "the Pact Broker starts where nobody asked for it",
        "Each `up` pulls two images and takes a port more.",
        SHOP,
        (swap(COMPOSE, "  pact-broker:\n    profiles: [broker]\n", "  pact-broker:\n"),),
    ),
    Mistake(
        "the collector listens to its own container alone",
        "No trace of any service arrives.",
        SHOP,
        (swap(f"{OBSERVABILITY}/otel-collector.yml", "0.0.0.0:4318", "127.0.0.1:4318"),),
    ),
    Mistake(
        "a service that is down wakes nobody",
        "Orders wait until the morning.",
        SHOP,
        (
            Edit(DESCRIPTION, r'("up == 0",(?:[^"]*\n)*?[^"]*severity=)"page"', r'\1"ticket"'),
            Edit(
                f"{OBSERVABILITY}/alerts.yml",
                r"(expr: up == 0\n    for: 1m\n    labels:\n      severity: )page",
                r"\1ticket",
            ),
        ),
    ),
    Mistake(
        "a dashboard's slowest of a hundred are the slowest of two",
        "A slow service looks fast.",
        SHOP,
        (
            swap(
                "tools/dashboards/description.py",
                '_quantile(0.99, "event_age_seconds"',
                '_quantile(0.5, "event_age_seconds"',
            ),
            Edit(
                f"{OBSERVABILITY}/dashboards/*.json", r"0\.99(, sum by \([\w, ]+\) \(rate\(event_age_seconds)", r"0.5\1"
            ),
        ),
    ),
    Mistake(
        "Prometheus asks a service for what it doesn't have",
        "Its dashboard is empty, and none of its alarms can ring but the one that it's down.",
        SHOP,
        (Edit(f"{OBSERVABILITY}/prometheus.yml", r"(job_name: payments\n)", r"\1    metrics_path: /api/v1/metrics\n"),),
    ),
    Mistake(
        "a runbook's command has an option that there isn't",
        "Whoever is woken reads: no such option.",
        SHOP,
        (swap("docs/runbooks/event-refused.md", "list --source outbox", "list --state outbox"),),
    ),
    Mistake(
        "the logs of one service can't be made to say more",
        "Whoever looks for a mistake in compose doesn't see it.",
        SHOP,
        (swap(COMPOSE, "PAYMENTS_LOG_LEVEL: ${LOG_LEVEL:-INFO}", "PAYMENTS_LOG_LEVEL: WARNING"),),
    ),
    Mistake(
        "images are built without their revision",
        "Nobody knows what runs.",
        SHOP,
        (Edit("Makefile", r"@REVISION=\S+ describe[^\n]*--dirty\) docker compose build", "@docker compose build"),),
    ),
    Mistake(
        "the alertmanager waits half an hour before it tells of an alarm",
        "Whoever is on call hears of a shop that is down when the customers have gone: 30m is meant to be 30s.",
        SHOP,
        (
            swap(
                "deploy/observability/alertmanager.yml",
                "  group_by: [alertname, job]\n",
                "  group_by: [alertname, job]\n  group_wait: 30m\n",
            ),
        ),
    ),
    Mistake(
        "Kafka's heap is as large as its container",
        "Under load the kernel kills the broker, in the middle of a busy evening.",
        SHOP,
        (swap("docker-compose.yml", "KAFKA_HEAP_OPTS: -Xms256m -Xmx512m", "KAFKA_HEAP_OPTS: -Xms256m -Xmx1g"),),
    ),
    Mistake(
        "Kafka writes its records beside its volume",
        "After `docker compose up` with another setting the container is new, and all events are gone.",
        SHOP,
        (swap("docker-compose.yml", "KAFKA_LOG_DIRS: /var/lib/kafka/data", "KAFKA_LOG_DIRS: /tmp/kafka-logs"),),
    ),
    Mistake(
        "Prometheus writes its figures beside its volume",
        "Each new container forgets the month of the error budget.",
        SHOP,
        (swap("docker-compose.yml", "--storage.tsdb.path=/prometheus", "--storage.tsdb.path=/tmp/prometheus"),),
    ),
    Mistake(
        "a container has no time to start before its health counts",
        "On a slow laptop `docker compose up --wait` fails: services are unhealthy before they could be ready.",
        SHOP,
        (
            swap(
                "docker-compose.yml",
                "x-healthcheck: &healthcheck\n  interval: 3s\n  timeout: 5s\n  start_period: 60s\n  retries: 3\n",
                "x-healthcheck: &healthcheck\n  interval: 3s\n  timeout: 5s\n  retries: 3\n",
            ),
        ),
    ),
    Mistake(
        "the Pact Broker's links name whatever host it was asked by",
        "Somebody who sends another Host has the broker hand out links to their own server, and credentials follow.",
        SHOP,
        (
            swap(
                "docker-compose.yml",
                "      PACT_BROKER_BASE_URL: >-\n"
                "        http://127.0.0.1:${PACT_BROKER_PORT:-9292} http://localhost:${PACT_BROKER_PORT:-9292} http://pact-broker:9292\n",
                "",
            ),
        ),
    ),
    Mistake(
        "Grafana finds none of its data sources",
        "It starts, and every panel of every dashboard is empty.",
        SHOP,
        (swap(COMPOSE, ":/etc/grafana/provisioning/datasources/shop.yml", ":/etc/grafana/datasources/shop.yml"),),
    ),
    Mistake(
        "the collector runs with the settings of its image",
        "It starts, takes all spans and shows none in Jaeger.",
        SHOP,
        (swap(COMPOSE, "[--config=/etc/otel-collector.yml]", "[--config=/etc/otelcol/config.yaml]"),),
    ),
    Mistake(
        "the collector asks Jaeger for TLS",
        "Everything is healthy, and no trace arrives.",
        SHOP,
        (swap(f"{OBSERVABILITY}/otel-collector.yml", "    tls: {insecure: true}\n", ""),),
    ),
    Mistake(
        "the Pact Broker looks for a database that nobody made",
        "It never starts: no contract is published.",
        SHOP,
        (swap(COMPOSE, "PACT_BROKER_DATABASE_NAME: broker", "PACT_BROKER_DATABASE_NAME: pact_broker"),),
    ),
    Mistake(
        "the Pact Broker logs in as nobody whom its database knows",
        "It never starts: no contract is published.",
        SHOP,
        (swap(COMPOSE, "PACT_BROKER_DATABASE_USERNAME: broker", "PACT_BROKER_DATABASE_USERNAME: pact_broker"),),
    ),
    Mistake(
        "orders starts beside the script that makes its products",
        "`up --wait` takes the script's end for a failure, or is done while the shop has nothing to sell.",
        SHOP,
        (swap(COMPOSE, "      orders-products: {condition: service_completed_successfully}\n", ""),),
    ),
    Mistake(
        "the console starts before anybody can log in to it",
        "`up --wait` takes the end of what makes the operator for a failure, or is done before there is one.",
        SHOP,
        (swap(COMPOSE, "      orders-operator: {condition: service_completed_successfully}\n", ""),),
    ),
    Mistake(
        "one healthy process hides a consumer that halted",
        "With two processes of a service one reads nothing any more, and nobody is woken.",
        SHOP,
        (
            swap(DESCRIPTION, "max by (job) (consumer_halted)", "min by (job) (consumer_halted)"),
            swap(f"{OBSERVABILITY}/alerts.yml", "max by (job) (consumer_halted)", "min by (job) (consumer_halted)"),
        ),
    ),
    Mistake(
        "one process that reaches the database hides another that doesn't",
        "Half of a service's calls fail, and nobody is woken.",
        SHOP,
        (
            swap(DESCRIPTION, '"min by (job) (database_up) == 0"', '"max by (job) (database_up) == 0"'),
            swap(f"{OBSERVABILITY}/alerts.yml", "expr: min by (job) (database_up)", "expr: max by (job) (database_up)"),
        ),
    ),
    Mistake(
        "Kafka keeps its groups' positions on three brokers by default",
        "There is one broker: the topic of the positions is never made, and no consumer ever starts.",
        SHOP,
        (swap(COMPOSE, '      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1"\n', ""),),
    ),
    Mistake(
        "`make images-offline` replaces a developer's own .env",
        "Their ports and passwords are gone.",
        SHOP,
        (swap("deploy/images/build", 'if [ -L "$dotenv" ] || [ ! -e "$dotenv" ]; then', "if true; then"),),
    ),
    Mistake(
        "the alarm of dead letters rings for new ones alone",
        "It is silent again after ten minutes, and nobody looks at what is still open.",
        SHOP,
        (
            swap(RULES, '(dead_letters{source!="outbox"}) > 0', '(increase(dead_letters{source!="outbox"}[10m])) > 0'),
            swap(
                DESCRIPTION,
                '(dead_letters{source!="outbox"}) > 0',
                '(increase(dead_letters{source!="outbox"}[10m])) > 0',
            ),
        ),
    ),
    Mistake(
        "the panel of processes that answer counts all",
        "In an outage the dashboard shows as many as ever.",
        SHOP,
        (
            swap(
                f"{OBSERVABILITY}/dashboards/shop-overview.json",
                '"expr": "sum by (job) (up{})"',
                '"expr": "count by (job) (up{})"',
            ),
            swap("tools/dashboards/description.py", '"sum by (job) (up{})"', '"count by (job) (up{})"'),
        ),
    ),
)
