"""A client that asks far more often than it may, as a process of its own.

    python -m bench.programs.eager PORT PATH ADDRESS RATE

It makes RATE attempts per second from ADDRESS, evenly spaced, each on a new connection, until its input ends. Then it
prints as JSON how many of them got which status; "0" stands for those that got none.
"""

import asyncio
import json
import sys
import time
from collections import Counter

MAX_OPEN = 500
"""Attempts that wait for their answers at the same time."""


async def main(port: int, path: str, address: str, rate: float) -> None:
    """Ask until the input ends."""
    request = f"GET {path} HTTP/1.1\r\nHost: eager\r\nConnection: close\r\n\r\n".encode()
    statuses: Counter[str] = Counter()
    places = asyncio.Semaphore(MAX_OPEN)

    async def attempt() -> None:
        status = "0"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            writer.write(request)
            answer = await reader.read()
            status = answer[9:12].decode() or "0"
            writer.close()
        except OSError:
            pass
        finally:
            statuses[status] += 1
            places.release()

    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        made = 0
        while not ended.done():
            await places.acquire()
            group.create_task(attempt())
            made += 1
            await asyncio.sleep(max(0.0, begin + made / rate - time.monotonic()))
    print(json.dumps(statuses))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])))
