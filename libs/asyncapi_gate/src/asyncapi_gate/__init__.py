"""AsyncAPI documents as contracts: checked in, never stale, never broken, and in agreement with pacts and code."""

from asyncapi_gate.agreement import UndocumentedRecordError, assert_published_as_documented, disagreements
from asyncapi_gate.documents import BreakingChangeError, StaleDocumentError, check_document, served_document, written
from asyncapi_gate.forms import UnreadableFormError, check_forms
from asyncapi_gate.gate import Change, breaking_changes
from asyncapi_gate.reading import UnreadableDocumentError, read_document
from asyncapi_gate.wire import undocumented

__all__ = [
    "BreakingChangeError",
    "Change",
    "StaleDocumentError",
    "UndocumentedRecordError",
    "UnreadableDocumentError",
    "UnreadableFormError",
    "assert_published_as_documented",
    "breaking_changes",
    "check_document",
    "check_forms",
    "disagreements",
    "read_document",
    "served_document",
    "undocumented",
    "written",
]
