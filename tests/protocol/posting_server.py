"""The real server with one request more: `test/post` makes six threads post notifications of 20 kB at once."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

THREADS, EACH, SIZE = 6, 100, 20_000


def main() -> int:
    from dlm_lsp.server import serve, serve_stdio, serve_tcp

    create = serve.create_server

    def create_server(**named: Any) -> Any:
        server = create(**named)

        @server.feature("test/post")
        async def post(params: Any) -> None:
            loop = asyncio.get_running_loop()

            def work(thread: int) -> None:
                for number in range(EACH):
                    told = {"thread": thread, "number": number, "text": str(thread) * SIZE}
                    loop.call_soon_threadsafe(server.outbox.send, "test/posted", told)

            threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)

        return server

    serve.create_server = create_server
    if sys.argv[1:2] == ["--tcp"]:
        host, _, port = sys.argv[2].rpartition(":")
        return serve_tcp(host, int(port))
    return serve_stdio()


if __name__ == "__main__":
    sys.exit(main())
