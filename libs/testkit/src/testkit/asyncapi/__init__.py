"""AsyncAPI documents as contracts: checked in, never stale, never broken, and in agreement with pacts and code."""

from testkit.asyncapi.agreement import UndocumentedRecordError, assert_published_as_documented, disagreements
from testkit.asyncapi.documents import BreakingChangeError, StaleDocumentError, check_document, served_document, written
from testkit.asyncapi.gate import Change, breaking_changes
from testkit.asyncapi.reading import UnreadableDocumentError

__all__ = [
    "BreakingChangeError",
    "Change",
    "StaleDocumentError",
    "UndocumentedRecordError",
    "UnreadableDocumentError",
    "assert_published_as_documented",
    "breaking_changes",
    "check_document",
    "disagreements",
    "served_document",
    "written",
]
