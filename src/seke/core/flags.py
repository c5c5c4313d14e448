"""What the flags of an instruction mean, in a sentence each: the checks set them, the report's page explains them."""

from typing import Final

MEANINGS: Final = {
    "accepted": "A reviewer accepted the record as it is.",
    "au12_negative_valence": "A raised lip corner (AU12) beside a clearly negative valence: rare, but for contempt.",
    "blind": "The simulated annotator could not see this picture: it guessed.",
    "class_differs": "The annotator names another class than people gave.",
    "class_unstated": "The answer names another class than the one asked for, or none.",
    "inferred_from_neighbours": "Nobody was asked about this frame: its labels are inferred from its video's others.",
    "names_its_source": "The text speaks of the notes it was written from, instead of the picture.",
    "no_logprobs": "The server sent no log probabilities: the draws count as plain answers.",
    "not_looking": "Inferred from the labels that people gave: the annotator adds nothing to them, and was not asked.",
    "not_looking_au": "The action units were inferred from the labels that people gave, without looking.",
    "not_looking_expression": "The expression was inferred from the labels that people gave, without looking.",
    "not_looking_va": "Valence and arousal were inferred from the labels that people gave, without looking.",
    "partial_action_units": "Some of the 17 action units could not be inferred, and are missing.",
    "pilot": "The annotator was calibrated on this record: it is not scored.",
    "question_leaks": "A question names the class that is to be found.",
    "reasoning_contradicts": "The reasoning contradicted the labels, and was left out of the text.",
    "reviewed": "A reviewer corrected labels of the record.",
    "smoothed": "Other frames of the same video were heard, too.",
    "summary_drift": "The final answer leaves what the draws agree on.",
    "thin_pilot": "Read as similar records are: too few human labels tell how good the annotator is on its like.",
    "turns": "Fewer or more questions and answers than were asked for.",
    "unusable_draws": "A draw could not be read; the labels are from the others.",
    "va_far_from_expression": "Valence or arousal lies far from what is usual for the expression.",
    "witnesses": "Witnesses beside the annotator were heard: tables of specialists, or other models' answers.",
}
"""Flag -> what it says of its record. Flags of an extension's own are not among them."""
UNMENTIONED: Final = "_unmentioned"
"""The end of a flag that begins with an attribute, such as emotion_unmentioned."""


def meaning(flag: str) -> str | None:
    """Return what a flag says of its record; None for one that is not of this program.

    >>> meaning("emotion_unmentioned"), meaning("mine")
    ('No answer mentions the emotion.', None)
    """
    if flag.endswith(UNMENTIONED):
        return f"No answer mentions the {flag.removesuffix(UNMENTIONED).replace('_', ' ')}."
    return MEANINGS.get(flag)
