"""Put a finished run onto the Hugging Face Hub: instruction data, prepared records or a model, with its card.

    python scripts/publish.py generate/feid you/feid --dry-run      what would be uploaded; nothing is
    python scripts/publish.py generate/feid you/feid                the export of `generate.py ... export=parquet`
    python scripts/publish.py train/mine you/mine --public          a checkpoint, with the newest card of its results

A repository is private unless --public is said. Pictures are passed on only if they were exported (embed_images=true)
and --licensed says that their licence allows it. Log in by `hf auth login`, or HF_TOKEN in the environment.
"""

import argparse
from pathlib import Path

from seke.cli.mistakes import in_one_line
from seke.core.escape import visible
from seke.hub import publish


@in_one_line()
def main() -> None:
    """Read the command line, say what is uploaded, and upload it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="<command>/<name>: generate/feid, prepare/raw or train/mine")
    parser.add_argument("repository", help="<owner>/<name> on the Hub")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder of all runs")
    parser.add_argument("--public", action="store_true", help="everybody may see it")
    parser.add_argument("--licensed", action="store_true", help="the pictures' licence allows to pass them on")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be uploaded")
    asked = parser.parse_args()
    upload = publish.plan(asked.run, asked.outputs, asked.licensed)
    seen = "public" if asked.public else "private"
    print(f"{upload.kind} {asked.repository} ({seen}): {len(upload.files)} files, {upload.size / 1e6:,.1f} MB")
    print(
        *(f"  {visible(name)}" for name in upload.files), *(f"note: {visible(note)}" for note in upload.notes), sep="\n"
    )
    if not asked.dry_run:
        print(publish.publish(upload, asked.repository, asked.public, f"{asked.run}, by SEKE"))


if __name__ == "__main__":
    main()
