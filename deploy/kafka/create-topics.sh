#!/usr/bin/env bash
# The topics, made once and explicitly: an auto-created one would have a single partition and the broker's retention.
set -euo pipefail

PARTITIONS=12 # never changed: a key would move to another partition, and its events would lose their order
RETENTION_MS=$((7 * 24 * 3600 * 1000))

create() {
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --if-not-exists --topic "$1" \
        --partitions "$PARTITIONS" --replication-factor "$REPLICATION_FACTOR" \
        --config retention.ms="$RETENTION_MS" --config min.insync.replicas="$MIN_INSYNC_REPLICAS"
}

create orders &
orders=$!
create payments &
payments=$!
wait "$orders"
wait "$payments"
