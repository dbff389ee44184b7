"""The command `make-token`."""

from typing import Any

import click

from .claims import claims_of
from .principal import ROLES
from .tokens import HASH, NAME, key_of, make_token


@click.command("make-token", short_help="Make a token for AUTH=token.")
@click.argument("name")
@click.option("--topic", "topics", multiple=True, help="Topic that may be read; repeat for more. Default: all.")
@click.option("--road", "roads", multiple=True, help="Road that may be read; repeat for more. Default: all.")
@click.option("--segment", "segments", multiple=True, help="Segment that may be read; repeat for more. Default: all.")
@click.option("--bbox", help="Area that may be read: west,south,east,north in degrees. Default: all.")
@click.option("--every", type=float, help="Least seconds between two updates of a segment in streams, 1 to 60.")
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    metavar="TIME",
    help="When it expires, in UTC: 2027-01-01, or 2027-01-01T00:00:00Z.",
)
@click.option("--role", "roles", multiple=True, type=click.Choice(sorted(ROLES)), help="Role; repeat for more.")
def make_token_command(name: str, expires: Any, bbox: str | None, **given: Any) -> None:
    """Make a token and print it once, with the table for AUTH_TOKENS_FILE, which holds only its hash."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("allowed: letters, digits, _ and -, 64 at most", param_hint="NAME")
    claims = {each: list(value) if isinstance(value, tuple) else value for each, value in given.items() if value}
    try:
        if bbox:
            claims["bbox"] = [float(edge) for edge in bbox.split(",")]
        claims_of(claims)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    token = make_token()
    click.echo(f"token, which is shown only here: {token}\n\nadd to AUTH_TOKENS_FILE:\n")
    click.echo(f'[{name}]\nhash = "{HASH}{key_of(token).hex()}"')
    if expires is not None:
        click.echo(f"expires = {expires:%Y-%m-%dT%H:%M:%SZ}")
    for each, value in claims.items():
        click.echo(f"{each} = {_toml(value)}")


def _toml(value: Any) -> str:
    """Return text, a number, or a list of them as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return '"' + "".join(each if _is_plain(each) else f"\\U{ord(each):08x}" for each in value) + '"'
    return repr(value)


def _is_plain(character: str) -> bool:
    return character.isprintable() and character not in '"\\'
