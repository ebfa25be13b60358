"""Serve the streams of the load test, in a process of its own: ``python server.py PAUSE``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import struct
import sys

from plans import answer, frame, plan

PAUSE = float(sys.argv[1])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_POINTS = '{"code":500004,"statusText":"aiPointsNotEnough","message":"none left","data":null}'

open_connections = 0


def chunk(data: bytes) -> bytes:
    """Return one chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(status: str, kind: str, body: str) -> bytes:
    """Return a response that has a length."""
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


AT_ONCE = {
    "too many requests": whole("429 X", "application/json", '{"code":429,"message":"slow down"}'),
    "wrong key": whole("500 X", "application/json", '{"code":514,"statusText":"unAuthApiKey"}'),
    "html": whole("200 OK", "text/html", "<p>a proxy's page</p>"),
}


async def stream(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Play one stream, and tell whether the connection stays open."""
    task = plan(number, PAUSE)
    fault = task.fault
    if fault in AT_ONCE:
        writer.write(AT_ONCE[fault])
        return True
    if fault == "closed before the headers":
        return False
    writer.write(HEAD)
    for text in task.texts:
        await asyncio.sleep(task.seconds)
        writer.write(chunk(answer(text)))
        await writer.drain()
    if not fault:
        end = answer("", "stop") + frame("answer", "[DONE]")
        writer.write(chunk(end) + b"0\r\n\r\n")
        return True
    await asyncio.sleep(task.seconds)
    if fault == "silence":
        await reader.read()
    elif fault == "clean end":
        writer.write(b"0\r\n\r\n")
        return True
    elif fault == "cut chunk":
        writer.write(chunk(answer("never seen"))[:30])
    elif fault == "error event":
        writer.write(chunk(frame("error", NO_POINTS)) + b"0\r\n\r\n")
        return True
    elif fault == "garbage":
        writer.write(chunk(frame("answer", '{"choices":[{"del')) + b"0\r\n\r\n")
        return True
    elif fault == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    return False


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    global open_connections
    open_connections += 1
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /open"):
                writer.write(whole("200 OK", "text/plain", str(open_connections - 1)))
                break
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
            body = json.loads(await reader.readexactly(int(fields[b"content-length"])))
            if not await stream(int(body["messages"][0]["content"]), reader, writer):
                break
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client left
    finally:
        open_connections -= 1
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()  # noqa: ASYNC102 - the process is ended, not the task


async def main() -> None:
    """Serve until this process is ended, and say where first."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
