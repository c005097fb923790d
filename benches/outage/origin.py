"""An origin for outage.py: answers with its name, and misbehaves as the byte on its standard input says.

w well · u 503, to probes as well · s a second late · c breaks off in the middle of a body
"""
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])
mode = "w"


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
            probe = path == "/healthz"
            now = mode
            if now == "s" and not probe:
                await asyncio.sleep(1.0)
            status = "503 Service Unavailable" if now == "u" else "200 OK"
            body = f"{name} {path}".encode()
            cut = now == "c" and not probe
            announced = len(body) + (1000 if cut else 0)
            writer.write(
                f"HTTP/1.1 {status}\r\nCache-Control: no-store\r\nX-Origin: {name}\r\nContent-Length: {announced}\r\n\r\n".encode() + body
            )
            await writer.drain()
            if cut:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    global mode
    server = await asyncio.start_server(serve, "127.0.0.1", port, reuse_address=True)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with server:
        while byte := await stdin.read(1):
            mode = byte.decode()


asyncio.run(main())
