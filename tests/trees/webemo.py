"""A miniature WEBEmo: its lists as published, and pictures as two public scripts download them."""

from pathlib import Path

from .pictures import save

LOVE, RAGE, SHAME = 0, 17, 20


def address(stem: str) -> str:
    return f"https://as2.ftcdn.net/jpg/00/42/93/78/{stem}.jpg"


def make(root: Path, lists: bool = True) -> None:
    """Write the tree: nine pictures of three classes, in folders by split and class number.

    - with `lists`, test25.txt names the last one of each class, and train25.txt one that was not downloaded
    - one picture lies flat, behind its class number
    """
    named: dict[str, list[str]] = {"train": [], "test": []}
    for label in (LOVE, RAGE, SHAME):
        for number in range(3):
            stem, split = f"220_F_{label:02d}{number}", "test" if number == 2 else "train"
            save(root / split / str(label) / f"{stem}.jpg", stem)
            named[split].append(f"{address(stem)} {label}")
    if lists:
        save(root / "flat" / f"{RAGE}_220_F_flat.jpg", "flat")
        named["train"] += [f"{address('220_F_flat')} {RAGE}", f"{address('220_F_gone')} {LOVE}"]
        for split, rows in named.items():
            (root / f"{split}25.txt").write_text("\n".join(rows) + "\n")
    (root / "category.txt").write_text("labels=[('affection', 'love', '+')]\n")
