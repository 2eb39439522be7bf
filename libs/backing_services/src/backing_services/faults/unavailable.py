"""The one error of this package."""


class FaultError(RuntimeError):
    """A fault can't be injected here, or was refused; the message is for a person and says what to install."""
