"""Tokens: the header that carries one, and calls of the function that gives one, which may fail or hang."""

import contextvars
import queue
import re
import threading
from collections.abc import Callable

from .endings import Lost

Token = str | Callable[[], str] | None

ANSWER_SECONDS = 10.0
MAX_HANGING = 4
SENDABLE = re.compile(r"[!-~]+")
ALLOWED = "the token can't be sent; allowed: a text of visible ASCII characters"


class TokenSource:
    """Gives the header of each request.

    A token function is called in a thread of its own, so that one that hangs holds up neither close() nor the back-off.
    """

    def __init__(self, token: Token) -> None:
        """Raises ValueError for a token that can't be sent."""
        if token is not None and not callable(token) and not _is_sendable(token):
            raise ValueError(ALLOWED)
        self._token = token
        self._calls: list[threading.Thread] = []
        self._answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._is_cancelled = False

    @property
    def are_renewable(self) -> bool:
        """Whether the next request may have another token."""
        return callable(self._token)

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the token, none without one. Raises Lost (`no_token`)."""
        if self._token is None:
            return {}
        given = self._call(self._token) if callable(self._token) else self._token
        if isinstance(given, BaseException):
            raise _no_token(f"the token function failed: {given}") from given
        if not given:
            raise _no_token("the token function returned no token")
        if not _is_sendable(given):
            raise _no_token(ALLOWED)
        return {"Authorization": f"Bearer {given}"}

    def pass_on(self, use: Callable[[str], None]) -> None:
        """Call the token function in its thread, which gives `use` the token. Does not wait.

        A function that fails gives nothing: the caller tries again later.
        """

        def take(given: object) -> None:
            if isinstance(given, str) and _is_sendable(given):
                use(given)

        if callable(self._token):
            self._start(self._token, take)

    def cancel(self) -> None:
        """End a wait for the token function, and give no more tokens. Any thread may call this."""
        self._is_cancelled = True
        self._answers.put(None)

    def _call(self, token: Callable[[], str]) -> object:
        """Return what the function returns or raises."""
        answers = self._answers = queue.SimpleQueue()
        if self._is_cancelled:  # before cancel() could know this queue
            return None
        if not self._start(token, answers.put):
            raise _no_token(f"{MAX_HANGING} calls of the token function have not answered")
        try:
            return answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise _no_token(f"the token function has not answered for {ANSWER_SECONDS:g} s") from None

    def _start(self, token: Callable[[], str], take: Callable[[object], None]) -> bool:
        """Call the function in a thread that gives `take` what it returns or raises. Return False if too many hang."""
        self._calls = [each for each in self._calls if each.is_alive()]
        if len(self._calls) >= MAX_HANGING:
            return False

        def call() -> None:
            given: object
            try:
                given = token()
            except BaseException as error:
                given = error
            take(given)

        run = contextvars.copy_context().run
        self._calls.append(threading.Thread(target=run, args=(call,), name="greenwave-token", daemon=True))
        self._calls[-1].start()
        return True


def _is_sendable(token: object) -> bool:
    return isinstance(token, str) and SENDABLE.fullmatch(token) is not None


def _no_token(text: str) -> Lost:
    return Lost("no_token", error=text)
