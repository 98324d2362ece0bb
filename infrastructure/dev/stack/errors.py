"""The one error a person sees from the stack."""


class StackError(Exception):
    """The stack could not do what was asked; the message says why and what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}\n  hint: {hint}")
