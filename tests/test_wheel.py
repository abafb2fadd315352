"""The wheel has every file of the package that is tracked, and no other; the image is given what the wheel needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def tracked() -> list[str]:
    """The package's files, as git has them."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z", "ptx"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    names = tracked()
    for name in (*NEEDED, *names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    done = subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("ptx/")}
        about = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "ptx = ptx.__main__:main" in archive.read(about).decode()
    assert inside == set(names)


def test_the_image_is_given_what_the_wheel_needs_and_nothing_else() -> None:
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert kept[0] == "*"
    assert {line.removeprefix("!") for line in kept if line.startswith("!")} == {"ptx", "constraints.txt", *NEEDED}
    image = (ROOT / "Dockerfile").read_text("utf-8")
    assert len(image.splitlines()) <= 12
    assert "constraints.txt" in image
