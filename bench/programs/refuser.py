"""A server that refuses each request, as a process of its own: what attempts at it cost others, the machine does.

python -m bench.programs.refuser PORT

It runs until its input ends.
"""

import asyncio
import contextlib
import sys

ANSWER = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    writer.close()


async def main(port: int) -> None:
    """Serve until the input ends."""
    async with await asyncio.start_server(refuse, "127.0.0.1", port, backlog=4096):
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
