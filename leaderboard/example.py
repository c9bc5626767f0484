"""The entry that `cxrbench submission new` writes: a filled `submission.toml` and a README to replace."""

from __future__ import annotations

import tomllib

from .entry import README, Submission

_TOML = """# What this entry is. Every value is plain text; `cxrbench submission check` says what is not as it should be.
schema = 2
name = "{name}"                        # the folder's name
version = "1.0"
description = "A generator of chest X-rays with lung and heart masks."
authors = ["Ada Example", "Grace Example"]
licence = "Apache-2.0"
contact = "ada@example.org"
division = "claimed"                   # "reproduced" is for systems that this repository can run
training_data = ["the training split of the task, nothing else"]
command = "cxrbench run --provider my_gan.py:MyGAN --seeds 5 --entry {name}"
hardware = "two CPU cores"

[code]                                 # leave out where the source is not public
url = "https://example.org/ada/my-gan"
commit = "0123456789abcdef0123456789abcdef01234567"

[paper]                                # leave out where there is none
title = "An example of a paper"
url = "https://example.org/paper"
"""

_README = """# {name}

What the system is, how it was trained, and anything a reader of its numbers should know. Plain text with Markdown; no HTML.
"""


def example_files(name: str) -> dict[str, str]:
    """The files of a new entry by their names."""
    return {"submission.toml": _TOML.format(name=name), "README.md": _README.format(name=name)}


def placeholders(submission: Submission, readme: str | None = None) -> list[str]:
    """The keys that still have the example's own value where nobody else has it, and README.md where it has its words."""
    example = Submission.model_validate(tomllib.loads(_TOML.format(name=submission.name)))
    keys = ("description", "authors", "contact", "command", "code", "paper")
    left = [key for key in keys if getattr(submission, key) == getattr(example, key)]
    return [*left, README] if readme is not None and _README.splitlines()[-1] in readme else left
