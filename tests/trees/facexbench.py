"""FaceXBench's files of questions as they are published, with their pictures: about expressions, and about age.

Quirks: options that are numbers; capitals in RAF-DB's options; questions about several pictures; one lacks a picture.
"""

import json
from pathlib import Path

from .pictures import save

PREPEND = "Facial expression recognition involves identifying the emotional state of a person."
POSTPEND = "Please answer the question and provide only the correct option letter, e.g., A, B, C, D."
SINGLE = "Which expression is the person showing in the image?"
GONE = "affectnet_multiple_mcq/question_3_2.png"
QUESTIONS = {
    "affectnet_single_mcq": [
        (1, SINGLE, ["fear", "sad", "neutral", "anger"], "B"),
        (1, SINGLE, ["happy", "contempt", "neutral", "surprise"], "D"),
    ],
    "affectnet_multiple_mcq": [
        (2, "Which images have a person with the expression 'anger'?",
         ["Image 2", "All of the images", "None of the images", "Image 1"], "D"),
        (3, "How many images have a person with the expression 'sad'?", [0, 1, 2, 3], "B"),
        (2, "Which image has a person with the expression 'sad'?", ["Neither", "Image 1", "Both", "Image 2"], "D"),
    ],
    "rafdb_single_mcq_train": [(1, SINGLE, ["Surprise", "Happy", "Disgust", "Sad"], "B")],
    "rafdb_multiple_mcq_train": [
        (3, "How many images have a person with the expression 'Neutral'?", [1, 3, 0, 4], "A"),
    ],
    "utkface_single_mcq_age_test": [(1, "Which age group?", ["0-9", "10-19", "20-29", "30-39"], "C")],
}  # fmt: skip


def make(root: Path) -> None:
    """Write benchmark/*.json's content to `root`, and images/ with all pictures but `GONE`."""
    for name, asked in QUESTIONS.items():
        several = "multiple" in name
        entries = {}
        for number, (pictures, text, options, letter) in enumerate(asked, 1):
            ends = [f"{number}_{k}" for k in range(1, pictures + 1)] if several else [str(number)]
            paths = [f"images/{name}/question_{end}.png" for end in ends]
            for path in paths:
                if not path.endswith(GONE):
                    save(root / path, path)
            entries[str(number)] = {
                "image_paths": paths, "question_text": text, "options": options, "correct_answer_option": letter,
                "answer": options["ABCD".index(letter)],
            }  # fmt: skip
        expression = not name.startswith("utkface")
        content = {
            "category": "attributes_expression" if expression else "bias_fairness",
            "sub-category": "expression" if expression else "age",
            "dataset": name.partition("_")[0],
            "question_type": "MCQ",
            "num_images": "multiple" if several else "single",
            "prepend_text": PREPEND,
            "postpend_text": POSTPEND,
            "questions": entries,
        }
        (root / f"{name}.json").write_text(json.dumps(content, indent=4))
