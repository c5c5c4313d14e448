"""SEKE: annotate faces with a vision LLM, fine-tune on the result, benchmark, report.

`from seke import open_records, complete, answer, score`: what a notebook wants (`seke.cli.notebook`).
"""

from typing import Any

__all__ = ["answer", "complete", "open_records", "score"]


def __getattr__(name: str) -> Any:  # imported when asked for, so that `import seke` costs nothing
    if name not in __all__:
        raise AttributeError(f"module 'seke' has no attribute {name!r}")
    from seke.cli import notebook

    return getattr(notebook, name)
