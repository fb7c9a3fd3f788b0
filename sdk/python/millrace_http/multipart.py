"""multipart/form-data read from disk block by block: memory stays flat whatever the file's size."""
from __future__ import annotations

import io
import os
import secrets
from typing import BinaryIO, Callable, Iterator, List, Optional, Tuple, Union

BLOCK = 256 * 1024
Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO]
Progress = Callable[[int, int], None]


def _quote(text: str) -> str:
    """A field or file name inside quotes, as browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class ShorterFile(OSError):
    """A file became shorter while it was sent."""


class _Part:
    def __init__(self, head: bytes, source: Source) -> None:
        self.head = head
        self.path: Optional[str] = None
        self.stream: Optional[BinaryIO] = None
        self.start = 0
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.stream = io.BytesIO(source)
            self.size = memoryview(source).nbytes
        elif isinstance(source, (str, os.PathLike)):
            self.path = os.fspath(source)
            with open(self.path, "rb") as f:  # says at once that it is missing or unreadable
                self.size = os.fstat(f.fileno()).st_size
        else:
            # A retry reads the stream again, so it must be able to go back.
            self.stream = source
            self.start = source.tell()
            self.size = source.seek(0, os.SEEK_END) - self.start
            source.seek(self.start)

    def blocks(self) -> Iterator[bytes]:
        yield self.head
        if self.path is not None:
            with open(self.path, "rb") as f:
                yield from self._copy(f)
        elif self.stream is not None:
            self.stream.seek(self.start)
            yield from self._copy(self.stream)
        yield b"\r\n"

    def _copy(self, f: BinaryIO) -> Iterator[bytes]:
        left = self.size
        while left:
            block = f.read(min(BLOCK, left))
            if not block:
                raise ShorterFile(f"{self.path or 'the file'} became shorter while it was sent")
            left -= len(block)
            yield block


class Multipart:
    """A form that can be sent more than once."""

    def __init__(self) -> None:
        self._boundary = "millrace-" + secrets.token_hex(16)
        self._parts: List[_Part] = []
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    def field(self, name: str, value: str) -> None:
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n'
        self._parts.append(_Part(head.encode(), value.encode()))

    def file(self, name: str, file_name: str, source: Source) -> None:
        head = (
            f"--{self._boundary}\r\nContent-Disposition: form-data; "
            f'name="{_quote(name)}"; filename="{_quote(file_name)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._parts.append(_Part(head.encode(), source))

    @property
    def length(self) -> int:
        return sum(len(p.head) + p.size + 2 for p in self._parts) + len(self._end)

    def blocks(self, progress: Optional[Progress]) -> Iterator[bytes]:
        sent, total = 0, self.length
        for part in self._parts:
            for block in part.blocks():
                yield block
                sent += len(block)
                if progress:
                    progress(sent, total)
        yield self._end
        if progress:
            progress(total, total)


def file_name_of(source: Source, default: str) -> Tuple[str, Source]:
    """The name to send: the path's last part, a stream's own name, or `default`."""
    if isinstance(source, (str, os.PathLike)):
        return os.path.basename(os.fspath(source)) or default, source
    name = getattr(source, "name", None)
    return (os.path.basename(name) if isinstance(name, str) and name else default), source
