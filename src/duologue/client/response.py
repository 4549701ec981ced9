"""What is known of an answer that is handed over as it came, under openai-python's names."""

from __future__ import annotations

from datetime import timedelta

from ..protocol.response import APIResponse, RequestInfo
from ..protocol.transport import Headers

__all__ = ["KnowsResponse"]


class KnowsResponse:
    """What is known of an answer besides its body."""

    _response: APIResponse

    @property
    def http_response(self) -> APIResponse:
        """All of it: also timings, rate limits, and when it came."""
        return self._response

    @property
    def http_request(self) -> RequestInfo:
        """What was asked: the method, and the URL without its query."""
        return self._response.request

    @property
    def is_closed(self) -> bool:
        """Whether the answer was read to its end, or left."""
        return self._response.timings.duration is not None

    @property
    def headers(self) -> Headers:
        """The headers, found in any case."""
        return self._response.headers

    @property
    def status_code(self) -> int:
        """The status, from 200 to 299."""
        return self._response.status_code

    @property
    def request_id(self) -> str | None:
        """The server's name for the exchange."""
        return self._response.request_id

    @property
    def retries_taken(self) -> int:
        """How many attempts came before the one that was answered."""
        return self._response.retries_taken

    @property
    def http_version(self) -> str:
        """`HTTP/1.1`."""
        return f"HTTP/{self._response.http_version}"

    @property
    def method(self) -> str:
        """The method of the request."""
        return self._response.request.method

    @property
    def url(self) -> str:
        """The URL of the request, without its query."""
        return self._response.request.url

    @property
    def elapsed(self) -> timedelta:
        """From the call to the end of the body, or as far as it has come; retries are part of it."""
        timings = self._response.timings
        return timedelta(seconds=timings.duration or timings.last_chunk or timings.headers or 0.0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code}>"
