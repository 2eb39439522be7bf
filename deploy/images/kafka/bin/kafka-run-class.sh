#!/usr/bin/env bash
# A class of Kafka's with the variables that Kafka's own scripts know; word splitting is how they take several options.
set -euo pipefail
logging="${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/opt/kafka/config/tools-log4j2.yaml}"
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} ${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC} $logging ${KAFKA_OPTS:-} \
    -cp "/opt/kafka/libs/*" "$@"
