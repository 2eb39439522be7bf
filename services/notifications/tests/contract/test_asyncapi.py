"""notifications' AsyncAPI document: what the app serves is checked in, and fits the pacts."""

from asyncapi_gate.suite import DocumentSuite


class TestDocument(DocumentSuite):
    service = "notifications"
