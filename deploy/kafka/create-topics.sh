#!/usr/bin/env bash
# The topics, made once and explicitly: an auto-created one would have a single partition and the broker's retention.
set -euo pipefail

RETENTION_MS=$((7 * 24 * 3600 * 1000))
KAFKA_TOPICS=${KAFKA_TOPICS:-/opt/kafka/bin/kafka-topics.sh}

create() {
    # the number of partitions is never changed: a key would move to another one, and its events would lose their order
    "$KAFKA_TOPICS" --bootstrap-server "$BOOTSTRAP_SERVERS" --create --if-not-exists --topic "${1%=*}" \
        --partitions "${1#*=}" --replication-factor "$REPLICATION_FACTOR" \
        --config retention.ms="$RETENTION_MS" --config min.insync.replicas="$MIN_INSYNC_REPLICAS"
}

running=()
for topic in $TOPICS; do # such as orders=12
    create "$topic" &
    running+=($!)
done
for one in "${running[@]}"; do
    wait "$one"
done
