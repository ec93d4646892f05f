"""Compare model servers: `python -m bench.serving BODY 'NAME=COMMAND' ...`, each on its own port.

A command contains `{port}`; the server must serve `POST /v2/models/m/infer` on it. Servers are measured in
rounds with random order, because the machine may be busy; the table shows medians. It shows CPU time in
addition to requests per second, because CPU time depends less on other load.
"""

import argparse
import http.client
import os
import random
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PATH: Final = "/v2/models/m/infer"
CONNECTIONS: Final = 4
START_SECONDS: Final = 120.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class ServerFigures:
    """The measurements of a server, one value per round."""

    start: list[float] = field(default_factory=list)
    start_processor: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    """Responses per second with four connections."""
    processor: list[float] = field(default_factory=list)
    """CPU time of the server per response, in milliseconds."""
    latency: list[float] = field(default_factory=list)
    """Median latency in milliseconds."""
    memory: list[float] = field(default_factory=list)
    """Resident memory in MiB after the load, including shared libraries."""

    def line(self, name: str) -> str:
        """A row of the table."""
        columns = (
            self.requests, self.processor, self.latency, self.memory, self.start, self.start_processor,
        )  # fmt: skip
        cells = [
            f"{statistics.median(each):.{digits}f}" for each, digits in zip(columns, "022011", strict=True)
        ]
        return f"| {name} | {' | '.join(cells)} |"


HEADER: Final = (
    "| server | requests/s | processor, ms a request | median answer, ms | memory, MiB | start, s |"
    " processor to start, s |\n|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("body", type=Path, help="file with the JSON of one request")
    parser.add_argument("servers", nargs="+", help="NAME=COMMAND, where COMMAND contains {port}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of load per round")
    options = parser.parse_args()
    commands = dict(each.split("=", 1) for each in options.servers)
    body = options.body.read_bytes()
    figures = {name: ServerFigures() for name in commands}
    for turn in range(options.rounds):
        names = random.Random(turn).sample(sorted(commands), len(commands))  # noqa: S311 - only an order
        for name in names:
            _measure(figures[name], commands[name], body, options.seconds)
            sys.stderr.write(f"round {turn + 1}: {name}: {figures[name].requests[-1]:.0f} requests/s\n")
    sys.stdout.write("\n".join([HEADER, *(each.line(name) for name, each in figures.items()), ""]))
    return 0


def _measure(figures: ServerFigures, command: str, body: bytes, seconds: float) -> None:
    with _started(command, body) as (process, port, start):
        figures.start.append(start)
        figures.start_processor.append(_processor(process.pid))
        _load(port, body, 1.0)
        before = _processor(process.pid)
        times = _load(port, body, seconds)
        figures.processor.append(1000 * (_processor(process.pid) - before) / len(times))
        figures.requests.append(len(times) / seconds)
        figures.latency.append(1000 * statistics.median(times))
        figures.memory.append(_memory(process.pid))


@contextmanager
def _started(command: str, body: bytes) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    process = subprocess.Popen(
        shlex.split(command.format(port=port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _responds(port, body):
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise SystemExit(f"the server does not respond: {command}")
            time.sleep(0.02)
        yield process, port, time.monotonic() - started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _responds(port: int, body: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _load(port: int, body: bytes, seconds: float) -> list[float]:
    """Send requests on four connections, one at a time on each; return the latencies in seconds."""
    times: list[list[float]] = [[] for _ in range(CONNECTIONS)]
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=_send_requests, args=(port, body, end, each)) for each in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for some in times for each in some]


def _send_requests(port: int, body: bytes, end: float, times: list[float]) -> None:
    """Use a socket directly: a client library would use more CPU time than the server."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (sent := time.monotonic()) < end:
            connection.sendall(request)
            response = connection.recv(65536)
            while b"\r\n\r\n" not in response:
                response += connection.recv(65536)
            headers, _, content = response.partition(b"\r\n\r\n")
            if not headers.startswith(b"HTTP/1.1 200"):
                raise SystemExit(headers.decode())
            lower = headers.lower()
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            while len(content) < length:
                content += connection.recv(65536)
            times.append(time.monotonic() - sent)


def _group(pid: int) -> list[int]:
    """The processes of a session."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid:
            pids.append(int(path.parent.name))
    return pids


def _processor(pid: int) -> float:
    total = 0.0
    for each in _group(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def _memory(pid: int) -> float:
    total = 0
    for each in _group(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                total += int(line.split()[1])
    return total / 1024


if __name__ == "__main__":
    raise SystemExit(main())
