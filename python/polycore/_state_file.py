# SPDX-License-Identifier: BSD-3-Clause
"""Files of named arrays with a JSON header: an npz that is refused unless every byte that matters is as it was written.

Layout: an uncompressed zip with the entry ``header.json`` and one ``<name>.npy`` per array (little-endian float64 or
int64, C order), so ``numpy.load`` opens it without polycore. The header holds ``format``, ``version`` and
``checksum``, the SHA-256 of everything else in canonical form. Nothing is pickled. The same content always gives the
same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

_HEADER = "header.json"
_DTYPES = ("<f8", "<i8")


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a file with this header (JSON values) and these float64 or int64 arrays."""
    stored = {name: np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<"), copy=False) for name, a in arrays.items()}
    complete = {**header, "checksum": _checksum(header, stored)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo without a date means 1980-01-01: the bytes do not depend on the clock.
        archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(complete, indent=1))
        for name, array in stored.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getbuffer())
    return buffer.getvalue()


def unpack(data: bytes, format: str, version: int, source: str) -> tuple[Header, Arrays]:
    """Header and arrays of a file of this format, up to this version.

    ValueError, naming ``source``, for anything that is not exactly what `pack` wrote.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = _read_header(archive, format)
            if header["version"] > version:
                raise _Refused(
                    f"it was written by a newer polycore (format version {header['version']}; this one reads up to "
                    f"version {version}): upgrade polycore"
                )
            arrays = _read_arrays(archive)
        if header.get("checksum") != _checksum({k: v for k, v in header.items() if k != "checksum"}, arrays):
            raise _Refused("the checksum does not match its content: the file is damaged")
    except _Refused as reason:
        raise ValueError(f"{source} cannot be loaded: {reason}") from None
    except Exception as error:
        # Whatever zipfile, json and numpy raise on damaged bytes (a dozen classes) means one thing.
        raise ValueError(f"{source} cannot be loaded: not a {format} file, or damaged ({_one_line(error)})") from None
    return header, {name: array.astype(array.dtype.newbyteorder("="), copy=True) for name, array in arrays.items()}


def read(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file; ValueError for what is neither a file nor a pipe, such as a device that never ends."""
    source = Path(path)
    mode = source.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode)):  # a directory has its own OSError
        raise ValueError(f"`path` must name a regular file, got {os.fspath(path)!r}")
    return source.read_bytes()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that appears complete or not at all; a failure leaves an older file of that name untouched.

    The bytes go to a temporary file in the same directory, are flushed to the disk, and the file is renamed.
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays a link
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise ValueError(f"`path` must name a regular file, got {os.fspath(path)!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"`path` must be in an existing directory, got {os.fspath(path)!r}")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    # 0o666 through os.open leaves the permissions to the umask, as any newly written file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_directory(target.parent)


class _Refused(Exception):
    """A reason to refuse a file that is worth more than "damaged"."""


def _read_header(archive: zipfile.ZipFile, format: str) -> Header:
    header = json.loads(_read_entry(archive, _HEADER))
    if not isinstance(header, dict) or header.get("format") != format:
        raise _Refused(f"it is not a {format} file")
    if type(header.get("version")) is not int:
        raise _Refused("its header has no version")
    return header


def _read_arrays(archive: zipfile.ZipFile) -> Arrays:
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise _Refused("it has an entry twice")
    return {name.removesuffix(".npy"): _read_array(_read_entry(archive, name)) for name in names if name != _HEADER}


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    # NOTE: only stored entries, so that no few bytes can unfold into gigabytes.
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise _Refused("its entries are compressed, which polycore never does")
    return archive.read(name)


def _read_array(data: bytes) -> NDArray[Any]:
    """An array in npy format; its header is compared with the bytes that are there before anything is allocated."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise _Refused("an array has an unknown format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    body = data[stream.tell() :]
    count = 1
    for length in shape:
        count *= length
    if dtype.str not in _DTYPES or fortran_order or min(shape, default=0) < 0 or count * dtype.itemsize != len(body):
        raise _Refused("an array is not what its header says")
    return np.frombuffer(body, dtype=dtype).reshape(shape)


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return f"sha256:{digest.hexdigest()}"


def _flush_directory(directory: Path) -> None:
    """Make the rename itself durable, where directories can be opened (not on Windows)."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse; the file itself is on disk
    finally:
        os.close(descriptor)


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
