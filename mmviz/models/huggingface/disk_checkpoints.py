"""The checkpoints of supported families that the Hugging Face cache of this machine holds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mmviz.models.huggingface.checkpoint_files import read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import CheckpointSpec
from mmviz.models.huggingface.families import family_of
from mmviz.types import MmvizError


class DiskCheckpoint(NamedTuple):
    """A checkpoint that can be loaded without a network."""

    spec: str
    """What ``--model`` takes: ``hf:OWNER/NAME``, with the revision where it is not that of the main branch."""
    family: str
    """`Family.title` of the family that it belongs to."""
    parameters: int
    """Number of weights."""
    disk_bytes: int
    """Size of the weights on disk."""


def disk_folder(checkpoint: CheckpointSpec) -> Path | None:
    """Returns the folder of a checkpoint that needs no download; None for any other."""
    if checkpoint.folder is not None or find_spec("huggingface_hub") is None:
        return checkpoint.folder
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(checkpoint.name, "config.json", revision=checkpoint.revision)
    return Path(config).parent if isinstance(config, str) else None


def disk_checkpoints(cache: Path | None = None) -> list[DiskCheckpoint]:
    """Returns the whole checkpoints in a cache folder, by default in that of huggingface_hub, by name.

    Those of other families, and those whose weights are missing, damaged or no safetensors, are left out.
    """
    if find_spec("huggingface_hub") is None:
        return []
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(cache).repos
    except CacheNotFound:
        return []
    checkpoints = []
    for repository in sorted(repositories, key=lambda entry: entry.repo_id.lower()):
        for revision in repository.revisions if repository.repo_type == "model" else ():
            try:
                files = read_checkpoint(revision.snapshot_path, repository.repo_id)
            except MmvizError:
                continue
            family = family_of(files.config)
            if family is not None:
                name = repository.repo_id if "main" in revision.refs else f"{repository.repo_id}@{revision.commit_hash}"
                checkpoints.append(DiskCheckpoint(f"hf:{name}", family.title, files.parameters, files.disk_bytes))
    return checkpoints
