"""What a pull request changes in the folder of entries, and whether whoever sends it may.

An entry that is on the base branch belongs to the account that its `contact` names there, as `@LOGIN` or
`https://github.com/LOGIN`: a pull request of another account that changes or removes it is refused, and so is one that
touches the shared cells or the maintainers' list. Maintainers may do all of it. What git says of the commits (names,
addresses) is written by their author and decides nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..benchmark.bounds import TooMuch, check_toml
from ..benchmark.errors import InputError
from .entry import REVIEWED, SHARED, SUBMISSION, entry_folders
from .untrusted import TEXT_BYTES, Refused, read_toml, shown

README = "README.md"
_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]{0,199}")
_LOGIN = re.compile(r"(?:^|\s)(?:@|https://github\.com/)([A-Za-z0-9](?:[A-Za-z0-9-]{0,38}))/?(?=$|[\s,;.])")


@dataclass(frozen=True)
class Sender:
    """Who sends a pull request: the account, and whether it is a maintainer's."""

    login: str = ""
    maintainer: bool = False


@dataclass(frozen=True)
class Changes:
    """What a pull request changes: the names below the folder of entries that it touches, and a line for each that its
    sender may not change."""

    names: tuple[str, ...]
    refused: tuple[str, ...]

    def to_check(self, root: Path) -> list[Path]:
        """What is to be checked: every entry where the shared cells changed, else what changed and is still there."""
        if SHARED in self.names:
            return entry_folders(root)
        paths = [root / name for name in self.names if name not in (README, REVIEWED)]
        return [path for path in paths if path.exists() or path.is_symlink()]


def changes(root: Path, base: str, sender: Sender) -> Changes:
    """What the commit that is checked out in `root` (the folder of entries) changes since it left `base`.

    InputError where `root` is in no git repository or `base` is no commit of it.
    """
    if not _REVISION.fullmatch(base):
        raise InputError(f"--changed-from {shown(base)}: expected the commit or branch that the pull request goes into")
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}").strip()
    listed = _git(
        root,
        "diff",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--relative",
        "--name-only",
        "-z",
        f"{commit}...HEAD",
    )
    paths = [path for path in listed.split("\0") if path]
    names = tuple(dict.fromkeys(path.partition("/")[0] for path in paths))
    refused = [line for name in names if not sender.maintainer for line in _not_allowed(root, commit, name, sender)]
    if REVIEWED in names and (root / REVIEWED).is_file():
        try:
            read_toml(root / REVIEWED)
        except Refused as error:
            refused.append(f"{error}; no review would count")
    return Changes(names, tuple(refused))


def _not_allowed(root: Path, commit: str, name: str, sender: Sender) -> Iterator[str]:
    if name == REVIEWED:
        yield f"{REVIEWED} is the maintainers' list; take the change out of the pull request"
    elif name == SHARED:
        yield f"{SHARED}/ has the cells of every entry; a maintainer changes it (pack without --share)"
    elif name != README and _git(root, "ls-tree", "--name-only", commit, "--", f"./{name}"):
        owner = _owner(root, commit, name)
        if not owner or owner.lower() != sender.login.lower():
            whose = f"belongs to @{owner}" if owner else "names no account in its contact, so it is the maintainers'"
            gone = "removed" if not (root / name).exists() else "changed"
            yield f"{shown(name)} is {gone}, but is on the base branch and {whose}; send an entry of another name"


def _owner(root: Path, commit: str, name: str) -> str:
    """The account that an entry's contact names on the base branch; empty where it names none."""
    try:
        text = _git(root, "show", "--no-textconv", f"{commit}:./{name}/{SUBMISSION}")[:TEXT_BYTES]
        check_toml(text)
        contact = tomllib.loads(text).get("contact")
    except (InputError, TooMuch, ValueError):
        return ""
    found = _LOGIN.findall(contact) if isinstance(contact, str) else []
    return found[0] if len(found) == 1 else ""


def _git(root: Path, *words: str) -> str:
    """What git says in a folder. InputError where it fails."""
    try:
        environment = os.environ | {"GIT_LITERAL_PATHSPECS": "1"}
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True, env=environment)
    except FileNotFoundError:
        raise InputError("--changed-from needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()[:1] or ["no such commit"]
        raise InputError(
            f"--changed-from: git {words[0]} in {root} says: {shown(said[0])}; fetch the base first"
        ) from None
    return done.stdout.decode("utf-8", "surrogateescape")
