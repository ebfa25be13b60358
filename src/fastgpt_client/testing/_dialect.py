"""Tell which form of FastGPT's wire the fake server speaks."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen
class Dialect:
    """What differs between FastGPT's versions, by the version played.

    :param version: major, minor and patch number.
    """

    version: tuple[int, ...]

    @classmethod
    def of(cls, version: str) -> Dialect:
        """Read a version such as ``4.16.0``.

        :raises ValueError: if it is not three numbers.
        """
        try:
            numbers = tuple(int(part) for part in version.removeprefix("v").split("."))
        except ValueError:
            numbers = ()
        if len(numbers) != 3:
            raise ValueError(f"a server version looks like '4.16.0', not {version!r}")
        return cls(numbers)

    @property
    def has_v2(self) -> bool:
        """Whether there is ``/api/v2/chat/completions`` (source, 4.9.4)."""
        return self.version >= (4, 9, 4)

    @property
    def has_stop(self) -> bool:
        """Whether there is ``/api/v2/chat/stop``, so that v2 runs outlive their client (4.14.4)."""
        return self.version >= (4, 14, 4)

    @property
    def stop_tells_state(self) -> bool:
        """Whether stop also tells ``completed`` and ``chatGenerateStatus`` (recorded, 4.16.0)."""
        return self.version >= (4, 15, 0)

    @property
    def flow_responses(self) -> Literal["array before done", "object after done", "array after"]:
        """Form and place of v1's ``flowResponses`` (recorded, 4.14.7 and 4.16.0)."""
        if self.version >= (4, 15, 0):
            return "array before done"
        return "object after done" if self.version >= (4, 14, 0) else "array after"

    @property
    def checks_schema(self) -> bool:
        """Whether a request is checked before anything else, with a 400 (source, 4.14.10)."""
        return self.version >= (4, 14, 10)

    @property
    def one_run_a_chat(self) -> bool:
        """Whether a second run in a busy chat is refused (recorded, 4.16.0; not in 4.14.7)."""
        return self.version >= (4, 15, 0)

    @property
    def generates_chat_id(self) -> bool:
        """Whether a JSON answer tells the chat id that the server made (not in 4.14.7)."""
        return self.version >= (4, 15, 0)

    @property
    def marks_user_errors(self) -> bool:
        """Whether the error envelope has ``errorType`` (source, 4.15.2)."""
        return self.version >= (4, 15, 2)

    @property
    def modern_content(self) -> bool:
        """Whether JSON has merged reasoning, tool ids and nested nodes (recorded, 4.16.0)."""
        return self.version >= (4, 15, 0)

    @property
    def cleared_cookie(self) -> str:
        """The ``Set-Cookie`` of a 403 (recorded, 4.14.7 and 4.16.0)."""
        if self.version >= (4, 15, 0):
            return "fastgpt_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        return "fastgpt_token=; Path=/; Max-Age=0"

    def body_limit_mb(self, api: str) -> int:
        """The largest request body in MB (recorded: 20 in 4.14.7, 10 on v1 in 4.16.0)."""
        return 10 if api == "v1" and self.version >= (4, 15, 0) else 20

    def http_status(self, code: int | None) -> int:
        """The HTTP status of a JSON error with a business code (source, 4.14.11)."""
        if self.version < (4, 14, 0):
            return 200
        if code is not None and 400 <= code < 500 and self.version >= (4, 14, 11):
            return code
        return 500
