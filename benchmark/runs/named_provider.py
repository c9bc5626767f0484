"""A provider by the text that a person gave, where a folder or a file may be meant."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..registry import PROVIDERS, Plugin, find_provider, plugins

_MODELS = {".onnx": "onnx", ".pt": "torchscript", ".pth": "torchscript", ".ts": "torchscript"}


def named_provider(text: str) -> Plugin:
    """`find_provider`; where there is no provider of that name, but a folder or a model's file, the InputError says how that
    is asked for."""
    if text not in plugins(PROVIDERS) and (said := _as_path(text)):
        raise InputError(f"provider '{text}': {said}")
    return find_provider(text)


def _as_path(text: str) -> str:
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            scheme = "diffusers" if (path / "model_index.json").is_file() else "folder"
            what = "a model of diffusers" if scheme == "diffusers" else "a folder of films"
            return f"that is a folder; {what} is --provider {scheme}:{text}"
        if path.suffix.lower() in _MODELS and path.is_file():
            return f"that is a file; a model is --provider {_MODELS[path.suffix.lower()]}:{text}"
    except (RuntimeError, OSError, ValueError):  # a long text is no path
        pass
    return ""
