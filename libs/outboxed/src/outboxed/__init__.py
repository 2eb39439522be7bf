"""The runtime of a service over Kafka and PostgreSQL: outbox, inbox, tasks, dead letters, HTTP, logs, metrics."""
