"""The yardstick: a bare grpc.aio unary echo over mTLS, stock options, server and client as processes."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import sys
import time
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PAYLOAD = bytes(400)
METHOD = "/bench.Echo/Echo"


def make_certificates(folder: Path) -> None:
    """Write ca.pem, and leaf.pem and leaf.key that serve both ends."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def begun(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("bench ca"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    ca = begun("bench ca", ca_key.public_key()).add_extension(x509.BasicConstraints(True, 0), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = begun("bench leaf", key.public_key()).add_extension(names, critical=False)
    for name, builder in (("ca", ca), ("leaf", leaf)):
        pem = builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
    (folder / "leaf.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _files(folder: Path) -> tuple[bytes, bytes, bytes]:
    ca, key, chain = ((folder / name).read_bytes() for name in ("ca.pem", "leaf.key", "leaf.pem"))
    return ca, key, chain


async def serve(folder: Path) -> None:
    """Echo until killed; print the port."""
    ca, key, chain = _files(folder)

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_registered_method_handlers("bench.Echo", handlers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    credentials = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    await server.start()
    await server.wait_for_termination()


async def call(folder: Path, port: int) -> None:
    """For each line `CALLERS SECONDS` on standard input, call that long and print one line of figures."""
    ca, key, chain = _files(folder)
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    loop = asyncio.get_running_loop()
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        echo = channel.unary_unary(METHOD)
        await echo(PAYLOAD)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            callers, seconds = int(line.split()[0]), float(line.split()[1])
            latencies: list[float] = []
            end = time.monotonic() + seconds

            async def caller(end: float = end, latencies: list[float] = latencies) -> None:
                while (begun := time.monotonic()) < end:
                    await echo(PAYLOAD)
                    latencies.append(time.monotonic() - begun)

            cpu, begun = time.process_time(), time.monotonic()
            await asyncio.gather(*(caller() for _ in range(callers)))
            wall, cpu = time.monotonic() - begun, time.process_time() - cpu
            latencies.sort()
            p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
            print(len(latencies), wall, cpu, p50, p99, 0, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(Path(sys.argv[2])))
    else:
        asyncio.run(call(Path(sys.argv[2]), int(sys.argv[3])))
