"""What users install is the five folders, whole and nothing else; the wheel is made from the sdist."""

import configparser
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["bus", "storage", "sandbox", "actors", "runtime"]
FRONT = ["__init__.py", "__main__.py", "py.typed"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run("tar", "-xf", sdist, cwd=folder)
    (unpacked,) = (p for p in folder.iterdir() if p.is_dir())
    return build("wheel", unpacked, folder)


def build(kind: str, source: Path, target: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source)
    (built,) = (p for p in target.iterdir() if p.is_file())
    return built


def run(*argv: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def source_files() -> set[str]:
    """What git knows, or would add, of the package; where there is no git, what lies there."""
    try:
        listed = run("git", "ls-files", "-coz", "--exclude-standard", *FRONT, *FOLDERS, cwd=ROOT)
    except (FileNotFoundError, AssertionError):
        found = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if "__pycache__" not in p.parts]
        return {*FRONT, *(str(p.relative_to(ROOT)) for p in found if p.is_file())}
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_the_five_folders_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {f"actorium/{name}" for name in source_files()}


def test_the_sdist_holds_the_same_files_where_the_repository_has_them(sdist):
    with tarfile.open(sdist) as tar:
        held = {m.name.partition("/")[2] for m in tar.getmembers() if m.isfile()}
    about = {"PKG-INFO", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore"}
    assert held - about == source_files()


def test_the_links_of_src_lead_to_the_front_door_and_the_five_folders():
    links = {p.name: p.readlink() for p in (ROOT / "src" / "actorium").iterdir() if p.name != "__pycache__"}
    assert links == {name: Path("..", "..", name) for name in FRONT + FOLDERS}


def test_the_wheel_says_its_command_and_its_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        commands = configparser.ConfigParser()
        commands.read_string(archive.read(entry).decode())
        assert dict(commands["console_scripts"]) == {"actorium": "actorium.runtime.cli:main"}
        assert any(n.endswith("licenses/LICENSE") for n in archive.namelist())


def test_an_installed_wheel_imports_from_its_own_place(wheel, tmp_path):
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", "--no-index"]
    run(*pip, "--disable-pip-version-check", wheel, cwd=tmp_path)
    assert (tmp_path / "venv" / "bin" / "actorium").exists()
    # Dependencies come from here; the link to the checkout is a .pth file, which PYTHONPATH ignores.
    code = f"import {', '.join(f'actorium.{f}' for f in FOLDERS)}; print(actorium.__file__)"
    said = run(python, "-P", "-c", code, cwd=ROOT, PYTHONPATH=sysconfig.get_path("purelib"))
    assert Path(said.strip()).is_relative_to(tmp_path)
