"""`duologue models`: what an endpoint serves."""

from __future__ import annotations

import click

from ._endpoint import endpoint
from ._terminal import printable

__all__ = ["models"]


@click.command(
    short_help="List the models of an endpoint.",
    epilog="""\b
Examples:
  duologue models
  duologue models --base-url http://127.0.0.1:8000/v1
""",
)
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="The endpoint to ask.")
def models(base_url: str | None) -> None:
    """List the models of an endpoint, one id on a line; without one, the built-in model.

    The key is taken from OPENAI_API_KEY.
    """
    with endpoint(base_url) as client:
        for model in client.models.list().data:
            click.echo(printable(model.id))
