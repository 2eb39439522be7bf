"""Files of npm's packages that our pages load in a browser: fetched by npm, held to the sums in pins.toml."""

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.uv import ROOT

PINS = Path(__file__).parent / "pins.toml"
PACKED = ".gz"


class FetchError(Exception):
    """A package can't be had, or isn't the one that is pinned; the message is one line for a person."""


@dataclass(frozen=True)
class Package:
    """A package of npm's: its version, its sum as npm writes it, and where each of its files goes."""

    name: str
    version: str
    integrity: str
    files: Mapping[str, Path]

    def fetch(self, folder: Path = ROOT) -> Sequence[Path]:
        """Put its files where they go below a folder, and return where that is. Raises FetchError."""
        with tempfile.TemporaryDirectory(prefix="npm-") as made:
            archive = self._archive(Path(made))
            if (found := _integrity(archive)) != self.integrity:
                raise FetchError(f"{self.name} {self.version} has the sum {found}, not that of {PINS.name}")
            with tarfile.open(archive) as packed:
                return [_put(folder / place, _content(packed, file)) for file, place in self.files.items()]

    def _archive(self, folder: Path) -> Path:
        if (npm := shutil.which("npm")) is None:
            raise FetchError(f"npm is missing, which fetches {self.name}: install Node.js (on Debian: apt install npm)")
        command = [npm, "pack", f"{self.name}@{self.version}", "--silent", "--pack-destination", str(folder)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if run.returncode:
            [*_, last] = ["no answer", *(run.stderr or run.stdout).split("\n\n")[0].strip().splitlines()]
            raise FetchError(f"npm can't fetch {self.name} {self.version}: {last}")
        return folder / run.stdout.split()[-1]


def packages() -> Mapping[str, Package]:
    """All of pins.toml, by name."""
    return {name: _package(name, **pin) for name, pin in tomllib.loads(PINS.read_text()).items()}


def fetched(name: str) -> Path:
    """The one file of a package that has one. It is fetched once for each version. Raises FetchError."""
    package = packages()[name]
    [place] = package.files.values()
    if not (ROOT / place).exists():
        package.fetch()
    return ROOT / place


def content_of(place: Path) -> bytes:
    """What a file has, unpacked."""
    return gzip.decompress(place.read_bytes()) if place.suffix == PACKED else place.read_bytes()


def _package(name: str, *, version: str, integrity: str, files: Mapping[str, str]) -> Package:
    places = {file: Path(place.format(version=version)) for file, place in files.items()}
    return Package(name, version, integrity, places)


def _integrity(archive: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def _content(packed: tarfile.TarFile, file: str) -> bytes:
    try:
        member = packed.extractfile(f"package/{file}")
    except KeyError:
        member = None
    if member is None:
        raise FetchError(f"{PINS.name} names {file}, which isn't in {Path(str(packed.name)).name}")
    return member.read()


def _put(place: Path, content: bytes) -> Path:
    """A file that has it already stays as it is: not each zlib packs the same bytes in the same way."""
    if not (place.exists() and content_of(place) == content):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(content, 9, mtime=0) if place.suffix == PACKED else content)
    return place
