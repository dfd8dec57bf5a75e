"""Makes wheels out of distributions that Debian's packages installed, so that tests of pip need no package index.

    /usr/bin/python3 test/wheels.py DIRECTORY NAME...

Writes a wheel of each distribution and of what it needs, unless DIRECTORY has them all already. Debian moves a
distribution's requirements into its package's Depends, so that is where they are found; an .egg-info becomes a .dist-info.
"""

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SITE = Path("/usr/lib/python3/dist-packages")
# Of one upstream distribution Debian makes two packages, and only one of them holds its metadata.
SPLIT = {"python3-pkg-resources": "python3-setuptools"}
# A zip's earliest date: the same files give the same wheel.
DATE = (1980, 1, 1, 0, 0, 0)


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def installed():
    """Distributions by normalized name, those of Debian alone."""
    found = importlib.metadata.distributions(path=[str(SITE)])
    return {normalized(dist.metadata["Name"]): dist for dist in found}


def metadata_path(dist):
    return Path(dist._path)


def packages_of(distributions):
    """The Debian package of each distribution, by the path of its metadata; those that none installed are left out."""
    paths = [str(metadata_path(dist)) for dist in distributions]
    # It fails when one path is nobody's, and still answers for the others.
    found = subprocess.run(["dpkg-query", "--search", *paths], check=False, capture_output=True, text=True).stdout
    lines = [line.rsplit(": ", 1) for line in found.splitlines()]
    return {path: package.split(":", 1)[0] for package, path in lines}


def depends(package):
    text = run("dpkg-query", "--show", "--showformat", "${Depends}", package)
    names = re.split(r"[,|]", text)
    return [re.sub(r"[\s(:].*", "", name.strip(), flags=re.DOTALL) for name in names]


class Project:
    """A distribution with its Debian packages."""

    def __init__(self, dist, package):
        self.dist = dist
        self.packages = [package] + [part for part, whole in SPLIT.items() if whole == package]
        self.needs_packages = sorted({need for each in self.packages for need in depends(each)} - set(self.packages))

    @property
    def stem(self):
        name = re.sub(r"[-_.]+", "_", self.dist.metadata["Name"])
        return f"{name}-{self.dist.version}"

    @property
    def wheel(self):
        return f"{self.stem}-py3-none-any.whl"

    def files(self):
        for package in self.packages:
            for line in run("dpkg-query", "--listfiles", package).splitlines():
                path = Path(line)
                if SITE not in path.parents or metadata_path(self.dist) in path.parents or not path.is_file():
                    continue
                if path.suffix == ".so":
                    raise SystemExit(f"{self.dist.metadata['Name']} has compiled parts: {path}")
                yield path.relative_to(SITE).as_posix(), path.read_bytes()


def collect(names):
    """The named distributions and all that they need."""
    packages = packages_of(installed().values())
    distributions = {name: dist for name, dist in installed().items() if str(metadata_path(dist)) in packages}
    owners = {packages[str(metadata_path(dist))]: dist for dist in distributions.values()}
    projects = {}
    queue = [normalized(name) for name in names]
    needs = {}
    while queue:
        name = queue.pop()
        if name in projects:
            continue
        if name not in distributions:
            raise SystemExit(f"no Debian package installed {name}")
        project = projects[name] = Project(distributions[name], packages[str(metadata_path(distributions[name]))])
        wholes = [SPLIT.get(package, package) for package in project.needs_packages]
        needed = {normalized(owners[package].metadata["Name"]) for package in wholes if package in owners}
        needs[name] = sorted(needed)
        queue.extend(needed)
    return projects, needs


def metadata_text(project, needs):
    """The METADATA file: what the distribution says of itself, with its requirements of Debian's Depends."""
    message = project.dist.metadata
    lines = ["Metadata-Version: 2.1", f"Name: {message['Name']}", f"Version: {project.dist.version}"]
    lines += [f"{field}: {message[field]}" for field in ("Summary", "License") if message[field]]
    lines += [f"Requires-Dist: {need}" for need in needs]
    return "\n".join(lines) + "\n"


def write_wheel(project, needs, directory):
    info = f"{project.stem}.dist-info"
    entries = dict(project.files())
    entries[f"{info}/METADATA"] = metadata_text(project, needs).encode()
    entries[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: cutover\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    for name in ("entry_points.txt", "top_level.txt"):
        text = project.dist.read_text(name)
        if text:
            entries[f"{info}/{name}"] = text.encode()
    record = io.StringIO()
    writer = csv.writer(record, lineterminator="\n")
    for path in sorted(entries):
        digest = base64.urlsafe_b64encode(hashlib.sha256(entries[path]).digest()).rstrip(b"=").decode()
        writer.writerow([path, f"sha256={digest}", len(entries[path])])
    writer.writerow([f"{info}/RECORD", "", ""])
    entries[f"{info}/RECORD"] = record.getvalue().encode()
    with zipfile.ZipFile(directory / project.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(entries):
            entry = zipfile.ZipInfo(path, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, entries[path])


def main(directory, names):
    projects, needs = collect(names)
    wheels = sorted(project.wheel for project in projects.values())
    listing = "".join(f"{wheel}\n" for wheel in wheels)
    complete = directory / "complete"
    if complete.is_file() and complete.read_text() == listing and all((directory / wheel).is_file() for wheel in wheels):
        complete.touch()
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="wheels-", dir=directory.parent))
    try:
        for name, project in projects.items():
            write_wheel(project, needs[name], made)
        # Another run of this script may be at it too: wheels appear whole, and the list of them last.
        directory.mkdir(exist_ok=True)
        for wheel in wheels:
            os.replace(made / wheel, directory / wheel)
        (made / "complete").write_text(listing)
        os.replace(made / "complete", complete)
    finally:
        shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
