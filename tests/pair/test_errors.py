"""What an engine raises is what the caller catches, whatever serves it."""

from __future__ import annotations

import pytest

from duologue import Client, user_message
from duologue.protocol import errors

CLASSES = [
    errors.BadRequestError,
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.UnprocessableEntityError,
    errors.RateLimitError,
    errors.InternalServerError,
]


@pytest.mark.parametrize("error", CLASSES)
def test_before_the_answer_it_is_a_status(client: Client, error: type[errors.APIStatusError]) -> None:
    """The same class, with the server's words and request id."""
    with pytest.raises(error, match="no luck") as caught:
        client.chat.completions.create(model="failing", messages=[user_message(error.__name__)])
    assert type(caught.value) is error
    assert caught.value.status_code == error.status_code
    assert caught.value.request_id


@pytest.mark.parametrize("error", CLASSES)
def test_in_the_stream_it_is_the_same_class(client: Client, error: type[errors.APIStatusError]) -> None:
    """An error event has no status of its own; its code says which class it would have had."""
    with client.chat.completions.create(
        model="failing", messages=[user_message(error.__name__)], stream=True
    ) as stream:
        with pytest.raises(error, match="no luck") as caught:
            for _ in stream:
                pass
        assert type(caught.value) is error
        assert stream.outcome == "failed"
    assert caught.value.completion is not None
    assert caught.value.completion.text == "Hello"
