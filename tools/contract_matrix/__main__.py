"""Print how many breaking changes of every message the contracts catch, and how many harmless ones they let pass."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from pact_faststream.matrix.judgement import Score, Subject, Verdict, judge

from tools.contract_matrix.subjects import HAND_TYPED, NAIVE, OURS, subjects
from tools.contract_matrix.values import VERIFICATION, judged


def main() -> int:
    """Exit with 1 unless every breaking mutant is caught and 98 % of the compatible ones pass."""
    # Pact makes an HTTP client for each message, which reads all certificates of the system: half of the time
    os.environ["SSL_CERT_FILE"] = os.devnull
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with judged() as verdicts_of_values:
        with silent():
            of_forms = asyncio.run(judge_all())
        of_values = list(verdicts_of_values)
    for subject, verdicts in of_forms:
        report(subject, verdicts)
    report_values(of_values)
    everything = [verdict for _, verdicts in of_forms for verdict in verdicts]
    for style in (NAIVE, HAND_TYPED):
        print(f"{style} style: {Score.of(style, everything)}")
    values = Score.of(VERIFICATION, of_values)
    print(f"values and headers: {values}")
    ours = Score.of(OURS, everything)
    print(f"contract-matrix: {ours}")
    caught = ours.caught == ours.breaking and values.caught == values.breaking
    return 0 if caught and ours.passed >= 0.98 * ours.compatible else 1


async def judge_all() -> list[tuple[Subject, Sequence[Verdict]]]:
    return [(subject, await judge(subject)) for subject in await subjects()]


def report(subject: Subject, verdicts: Sequence[Verdict]) -> None:
    print(f"{subject.name}: {len(verdicts)} mutants")
    for style in (OURS, HAND_TYPED, NAIVE):
        print(f"  {style:<10} {Score.of(style, verdicts)}")
    for verdict in verdicts:
        if verdict.passes[OURS] == verdict.breaking:
            print(f"    {'missed' if verdict.breaking else 'refused though harmless'}: {verdict.mutant}")


def report_values(verdicts: Sequence[Verdict]) -> None:
    print(f"faults planted into the providers: {len(verdicts)}")
    for verdict in verdicts:
        if verdict.passes[VERIFICATION] == verdict.breaking:
            print(f"    {'missed' if verdict.breaking else 'refused though harmless'}: {verdict.mutant}")


@contextmanager
def silent() -> Iterator[None]:
    """Pact's verifier writes its own reports to the process's descriptors, thousands of lines here."""
    sys.stdout.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in saved:
        os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
