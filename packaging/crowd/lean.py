"""One bidirectional gRPC stream over mTLS by hand: HTTP/2 frames on a non-blocking TLS socket, for a cheap generator.

Owns the bytes of one client connection with one stream. It speaks real gRPC to the real server, but spends a fifth of what
grpc.aio spends on a message, so that a generator on the same processors measures the server and not itself. Flow control is
kept to; what a load never needs (several streams, compression, priorities, large frames) is left out.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import struct
import tempfile
from collections import deque

from fettle_protocol import identity

from crowd.identities import Pass

MESSAGE_LIMIT = 16_000  # one DATA frame without asking for larger ones
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW_SIZE = 4
_WINDOW_MAX = 2**31 - 1
_WINDOW_START = 65_535
_HEAD = struct.Struct(">HBBBI")  # length's high 16 bits, its low byte, type, flags, stream
_SETTING = struct.Struct(">HI")


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """One HTTP/2 frame."""
    size = len(body)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + body


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing and without Huffman coding, of a new name."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def opening(path: str) -> bytes:
    """Everything a gRPC client says before its first message: preface, settings, a wide-open window, the request's headers."""
    headers = b"\x83\x87" + b"".join(  # :method POST and :scheme https stand in HPACK's static table
        _literal(name, value)
        for name, value in (
            (b":path", path.encode()),
            (b":authority", identity.SERVER_NAME.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"fettle-crowd"),
        )
    )
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(_SETTINGS, 0, 0, _SETTING.pack(_INITIAL_WINDOW_SIZE, _WINDOW_MAX))
        + frame(_WINDOW, 0, 0, (_WINDOW_MAX - _WINDOW_START).to_bytes(4, "big"))
        + frame(_HEADERS, _END_HEADERS, 1, headers)
    )


def context(ca_pem: bytes, owner: Pass) -> ssl.SSLContext:
    """TLS as an agent sets it up: only this CA, our certificate, HTTP/2."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    result.load_verify_locations(cadata=ca_pem.decode())
    result.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile("w") as file:  # the ssl module takes a key from a file only
        file.write(owner.key_pem + owner.certificate_pem)
        file.flush()
        result.load_cert_chain(file.name)
    return result


class Stream:
    """One connection with its one stream. `over` says in few words why it ended; empty while it lives."""

    __slots__ = ("_connection_window", "_input", "_part", "_socket", "_stream_window", "_waiting", "over")

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext) -> None:
        raw = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.connect_ex(address)
        self._socket = tls.wrap_socket(raw, server_hostname=identity.SERVER_NAME, do_handshake_on_connect=False)
        self._input = bytearray()
        self._part = bytearray()
        self._waiting: deque[bytes] = deque()
        self._stream_window = self._connection_window = _WINDOW_START
        self.over = ""

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection without further words."""
        self.over = self.over or "closed here"
        self._socket.close()

    def shake_hands(self) -> bool | None:
        """True once TLS stands; None where it waits to read or, False, to write. `over` says if it failed."""
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            return False
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return False
            self.over = str(error) or type(error).__name__
        return True

    def open(self, path: str, message: bytes) -> None:
        """Send the opening and the first message."""
        self._put(opening(path))
        self.send(message)

    def send(self, message: bytes) -> None:
        """Send one message now, or as soon as the far end's windows let it.

        Raises:
            ValueError: the message does not go into one frame.
        """
        size = len(message) + 5
        if size > MESSAGE_LIMIT:
            raise ValueError(f"a message of {size} bytes is over the {MESSAGE_LIMIT} of a lean stream")
        if self._waiting or size > self._stream_window or size > self._connection_window:
            self._waiting.append(message)
            return
        self._stream_window -= size
        self._connection_window -= size
        self._put(_HEAD.pack(size >> 8, size & 0xFF, _DATA, 0, 1) + b"\x00" + (size - 5).to_bytes(4, "big") + message)

    def receive(self) -> list[bytes]:
        """The messages that have arrived whole; may be none. Look at `over` after them."""
        try:
            while True:
                data = self._socket.recv(32_768)
                self._input += data
                if not data:
                    self.over = self.over or "the connection was closed"
                if not self._socket.pending():
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self.over = str(error) or type(error).__name__
        return self._frames() if len(self._input) >= 9 else []

    def _frames(self) -> list[bytes]:
        data, at, size = self._input, 0, len(self._input)
        found: list[bytes] = []
        while size - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if end > size:
                break
            if kind == _DATA:
                self._part += data[at + 9 : end]
                self._messages(found)
            else:
                self._control(kind, flags, stream, bytes(data[at + 9 : end]))
            at = end
        del data[:at]
        return found

    def _messages(self, found: list[bytes]) -> None:
        part = self._part
        while len(part) >= 5:
            end = 5 + int.from_bytes(part[1:5], "big")
            if len(part) < end:
                return
            found.append(bytes(part[5:end]))
            del part[:end]

    def _control(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _WINDOW:
            self._widen(stream, int.from_bytes(body, "big"))
        elif kind == _PING and not flags & _ACK:
            self._put(frame(_PING, _ACK, 0, body))
        elif kind == _SETTINGS and not flags & _ACK:
            for number, value in _SETTING.iter_unpack(body):
                if number == _INITIAL_WINDOW_SIZE:
                    self._widen(1, value - _WINDOW_START)
            self._put(frame(_SETTINGS, _ACK, 0, b""))
        elif kind in (_RESET, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            self.over = self.over or f"the server ended the stream (frame {kind}: {body!r})"

    def _widen(self, stream: int, by: int) -> None:
        if stream:
            self._stream_window += by
        else:
            self._connection_window += by
        waiting, self._waiting = self._waiting, deque()
        for message in waiting:
            self.send(message)

    def _put(self, data: bytes) -> None:
        """All of it; where the kernel's buffer is full, which a load of small messages hardly meets, wait for room."""
        try:
            while True:
                try:
                    self._socket.send(data)
                    return
                except ssl.SSLWantWriteError:
                    select.select((), (self._socket,), (), 1.0)
        except OSError as error:
            self.over = self.over or str(error) or type(error).__name__
