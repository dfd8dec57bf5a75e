"""A build backend that makes a real wheel, and that does before what `evil.py` next to it says, at each of pip's calls."""

import base64
import hashlib
import os
import zipfile

import evil

evil.run("import")
INFO = "kit-1.dist-info"
FILES = {
    "kit.py": "WORD = 'kit'\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: kit\nVersion: 1\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: evil\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def get_requires_for_build_wheel(config_settings=None):
    evil.run("requires")
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    evil.run("metadata")
    os.mkdir(os.path.join(metadata_directory, INFO))
    for path, text in FILES.items():
        if path.startswith(INFO):
            with open(os.path.join(metadata_directory, path), "w") as file:
                file.write(text)
    return INFO


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    evil.run("build")
    name = "kit-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        lines = []
        for path, text in FILES.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text)}\n")
        wheel.writestr(f"{INFO}/RECORD", "".join(lines) + f"{INFO}/RECORD,,\n")
    return name
