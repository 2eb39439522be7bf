"""Mistakes in the relay: what is sent when, what Kafka refuses, and who is told."""

from tools.mistakes.mistake import OUTBOXED, Mistake, swap

RELAY = "libs/outboxed/src/outboxed/relay"

MISTAKES = (
    Mistake(
        "the relay gives its records their time in seconds",
        "To Kafka they are of January 1970: with any retention it deletes them before a slow consumer has read them.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_producer.py",
                "append, now = builder.append, int(time.time() * 1000)",
                "append, now = builder.append, int(time.time())",
            ),
        ),
    ),
    Mistake(
        "a relay that stands by doesn't take back that Kafka was away",
        "After an outage in which another process took over, this one is never ready again.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                '                self._contact.answered("relay")  # what another relay hears is that one\'s to tell\n',
                "",
            ),
        ),
    ),
    Mistake(
        "a relay with nothing left to send still waits for Kafka's answer",
        "Its row was sent by another process, or discarded, and this one is unready until the next event.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                '            self._contact.answered("relay")  # nothing waits for Kafka\n',
                "",
            ),
        ),
    ),
    Mistake(
        "a relay that is told of all work never looks below where it reads",
        "A row that somebody puts back by hand isn't sent while the system is quiet.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                "above = self._floor.id if self._clock() < self._start_at else 0",
                "above = self._floor.id",
            ),
        ),
    ),
    Mistake(
        "the rows of a topic that Kafka refuses are looked through with the others",
        "A topic without rights that has ten thousand rows holds up all other topics.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                "above=above, without=self._flow.paused_topics())",
                "above=above, without=())",
            ),
        ),
    ),
    Mistake(
        "a topic that takes larger batches again gets small ones for good",
        "After a person has raised its limit a backlog goes at the pace of before, until the next restart.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_flow.py",
                "            del self._too_large[topic]\n            self._ceilings.pop(topic, None)\n",
                "            del self._too_large[topic]\n",
            ),
        ),
    ),
    Mistake(
        "a replayed row is judged by what its partition took before",
        "While Kafka fails by itself the row is set aside again, as if it were its own fault.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_outcomes.py",
                "        self._unnamed_since.pop(row.id, None)\n        if letter is not None:",
                "        if letter is not None:",
            ),
        ),
    ),
    Mistake(
        "a relay takes Kafka's options for transactions",
        "A project that gives transactional_id is told nothing at the start, and no event is ever sent.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_producer.py",
                '*("enable_idempotence", "transactional_id", "transaction_timeout_ms"),',
                '"enable_idempotence",',
            ),
        ),
    ),
    Mistake(
        "a row that Kafka refuses without a name is tried a thousand times",
        "It holds up the events of its customer for half a day before anybody is told.",
        OUTBOXED,
        (swap(f"{RELAY}/_outcomes.py", "UNNAMED_ATTEMPTS = 10\n", "UNNAMED_ATTEMPTS = 1000\n"),),
    ),
    Mistake(
        "all of the outbox is read every thirty minutes, not seconds",
        "A row that was put in by hand, or left below a sequence that was set back, waits for half an hour.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                "FROM_THE_START_SECONDS = 30.0",
                "FROM_THE_START_SECONDS = 30.0 * 60",
            ),
        ),
    ),
    Mistake(
        "a topic that Kafka refused waits for minutes after somebody has given the right",
        "Each pause doubles up to eight minutes: whoever mended it believes that it isn't mended.",
        OUTBOXED,
        (swap(f"{RELAY}/_flow.py", "LONGEST_PAUSE = 30.0", "LONGEST_PAUSE = 1800.0"),),
    ),
    Mistake(
        "after a refusal a partition's batches stay small",
        "One bad row, and from then on each batch has half of what there is room for.",
        OUTBOXED,
        (swap(f"{RELAY}/_flow.py", "window = 2 * max(", "window = max("),),
    ),
    Mistake(
        "of the held rows of a partition the newest is tried first",
        "While rows are refused again and again, the first of them is never tried.",
        OUTBOXED,
        (swap(f"{RELAY}/_relay.py", "*(its[0].id for", "*(its[-1].id for"),),
    ),
    Mistake(
        "a held row of a topic that Kafka can't have is never tried again",
        "It becomes no dead letter, and holds up its key for ever.",
        OUTBOXED,
        (swap(f"{RELAY}/_relay.py", "return [*of_no_topic, *(its", "return [*(its"),),
    ),
    Mistake(
        "a row is compared with the largest limit of all topics",
        "Where another topic takes larger records, a row that is too large is sent with others again and again.",
        OUTBOXED,
        (swap(f"{RELAY}/_flow.py", "min(self._too_large.values())", "max(self._too_large.values())"),),
    ),
    Mistake(
        "a prepared transaction holds no row up",
        "Its rows are committed below where reading begins, and later events of their keys have gone out.",
        OUTBOXED,
        (swap(f"{RELAY}/_floor.py", "pid is distinct from pg_backend_pid()", "pid <> pg_backend_pid()"),),
    ),
    Mistake(
        "a producer that can send nothing more is kept",
        "Nothing is sent until the process is started again.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_relay.py",
                "            await self._producer.abandon()\n            raise failure\n",
                "            raise failure\n",
            ),
        ),
    ),
    Mistake(
        "a question that was given up is waited for again",
        "The relay takes its cancellation for its own, and ends without a word.",
        OUTBOXED,
        (swap(f"{RELAY}/_producer.py", "        self._lookups.clear()\n", ""),),
    ),
    Mistake(
        "a topic's partitions are taken to be for a day what they were once",
        "A topic that was made larger, or again, gets its events in the wrong partition, or none.",
        OUTBOXED,
        (swap(f"{RELAY}/_producer.py", "FOUND_SECONDS = 1.0", "FOUND_SECONDS = 24 * 3600.0"),),
    ),
    Mistake(
        "the floor rises to the highest id of now",
        "A row of a writer that began meanwhile is below it, and waits for the next look from the start.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_floor.py",
                'values = {"candidate": self._candidate, "above": self.id}',
                'values = {"candidate": self._highest, "above": self.id}',
            ),
        ),
    ),
    Mistake(
        "the sequence's last id is asked for, whoever may know it",
        "With rights on the tables alone a relay ends by an error, or from PostgreSQL 18 on reads from the start.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_rows.py",
                """                f"case when has_sequence_privilege({sequence}, 'select, usage')"\n"""
                """                f" then coalesce(pg_sequence_last_value({sequence}), 0) else {LAST_ID} end",\n""",
                '                f"coalesce(pg_sequence_last_value({sequence}), 0)",\n',
            ),
        ),
    ),
    Mistake(
        "a question about a topic is forgotten only when its topic is asked about again",
        "A relay that once waited for an answer never becomes quiet, and takes the old answer much later.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_producer.py",
                "        answered = [topic for topic, task in self._lookups.items() if task.done()]\n",
                "        answered = [topic for topic in asked if self._lookups[topic].done()]\n",
            ),
        ),
    ),
    Mistake(
        "a refused topic is paused by its name on the cluster",
        "With a prefix it is never paused: the relay sends to it in each pass, for ever.",
        OUTBOXED,
        (
            swap(
                f"{RELAY}/_outcomes.py",
                "                self.pause_topic(batch.topic, error)\n",
                "                self.pause_topic(batch.partition.topic, error)\n",
            ),
        ),
    ),
)
