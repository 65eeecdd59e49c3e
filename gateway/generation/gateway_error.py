"""What every error carries: its words for the caller, its advice for the dispatcher."""

import enum
from typing import ClassVar

__all__ = ["Advice", "GatewayError"]


class Advice(enum.Enum):
    """What the dispatcher may do about an error while no event was passed on."""

    NEVER = "never"
    """Give up: a second try would fail the same way, or could pay twice."""
    OTHER_ACCOUNT = "other_account"
    """Definite refusal of one account: go on to the next, freely."""
    BUDGETED = "budgeted"
    """Provider fault: try again, as far as the retry budget allows."""


class GatewayError(Exception):
    """Something went wrong, said in the caller's terms.

    Args:
        message: one sentence for the caller; never a secret, a URL or a traceback.
        code: replaces the class's stable code where a provider's own word is more exact.
        param: the request field at fault.
        retry_after: seconds until a second try makes sense.
        task_id: our id of the task that this error is about.
        sent: whether the provider may have received the call (it then may have been paid for).
    """

    status: ClassVar[int] = 500
    advice: ClassVar[Advice] = Advice.NEVER
    outcome: ClassVar[str] = "invalid"
    """The attempt's label in metrics."""
    client_may_retry: ClassVar[bool | None] = None
    """Sent as `x-should-retry` unless None."""
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        task_id: str | None = None,
        sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after
        self.task_id = task_id
        self.sent = sent
