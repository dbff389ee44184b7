"""A file for AUTH_TOKENS_FILE, and its tokens by name."""

from pathlib import Path

import msgspec

from web.access.tokens import key_of, make_token


class TokensFile(dict[str, str]):
    """The tokens by name. `write()` replaces the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def write(self, **tables):
        """Write a table for each token; tokens that were made before stay the same."""
        lines = []
        for name, table in tables.items():
            token = self.setdefault(name, make_token())
            lines.append(f'[{name}]\nhash = "sha256:{key_of(token).hex()}"')
            lines += [f"{each} = {msgspec.json.encode(value).decode()}" for each, value in table.items()]
        replacement = self.path.with_suffix(".new")
        replacement.write_text("\n".join(lines))
        replacement.replace(self.path)


def tokens_file(path, **tables):
    """Return a tokens file with these tables."""
    made = TokensFile(path)
    made.write(**tables)
    return made


def bearer(token):
    """Return the headers of a request with a token."""
    return {"Authorization": f"Bearer {token}"}
