"""What a user can cause: every error says what is wrong and what to run next."""


class PtxError(Exception):
    """An expected failure (exit code 1): `message` says what is wrong, `hint` names a next step."""

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)  # both, so that the error survives pickling between processes
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(PtxError):
    """Wrong usage of the command line (exit code 2)."""

    exit_code = 2
