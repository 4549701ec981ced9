"""As servers.py, by LitServe: its workers are processes, which import the class by its name."""

import sys

import litserve
from servers import words


class API(litserve.LitAPI):
    """The generator, as what LitServe takes for a model."""

    def setup(self, device):
        """Nothing is loaded."""

    async def predict(self, request):
        """A word at a time."""
        async for word in words(request.messages[-1].content):
            yield word

    async def encode_response(self, output):
        """What the specification makes a chunk of."""
        async for word in output:
            yield {"role": "assistant", "content": word}


if __name__ == "__main__":
    api = API(spec=litserve.OpenAISpec(), enable_async=True)
    server = litserve.LitServer(api, accelerator="cpu", track_requests=False)
    server.run(port=int(sys.argv[2]), generate_client_file=False, log_level="critical")
