"""Access: what it costs to check the rights of each stream (AUTH=token), beside a server that is open to all."""

from web.access.tokens import key_of, make_token

from .fanout import Level, measure_level
from .figures import OURS, Figure
from .peers.greenwave import Greenwave
from .world import World

LEVEL = Level(500, 100)
NAME = f"{OURS}, AUTH=token"

TITLE = "Access"
ABOUT = f"""As *Fan-out*, with {LEVEL.name}: the open server, and one whose clients send a token. The token is
checked when a stream opens; after that, as long as the stream lasts, whether it has expired or was revoked."""
RATIOS = ("CPU, µs per event", "p50, ms", "p99, ms")


class WithTokens(Greenwave):
    """The product with AUTH=token, and clients with a token."""

    def __init__(self, world: World, topic: str, clients: int) -> None:
        super().__init__(world, topic, clients, NAME)
        token, file = make_token(), world.folder / f"{topic}.toml"
        file.write_text(f'[crowd]\nhash = "sha256:{key_of(token).hex()}"\n')
        self.headers = (f"Authorization: Bearer {token}",)
        self.settings = {**Greenwave.settings, "AUTH": "token", "AUTH_TOKENS_FILE": str(file)}


def run(world: World) -> list[Figure]:
    """Measure one round of both."""
    figures = []
    for kind in (Greenwave, WithTokens):
        with kind(world, world.topic(), LEVEL.clients) as peer:
            figures += measure_level(world, peer, LEVEL, "access", LEVEL.name)
    return figures
