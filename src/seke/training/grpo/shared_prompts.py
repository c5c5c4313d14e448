"""Answers to one face share what the model computes of its picture and question: once to sample, once to learn.

    faces U -> picture and question, once each -> keys and values -> repeated for B answers -> answers' tokens alone

TRL's trainer runs picture and question with each answer, though they are the longer part, and has no use for what the
head says of them. What comes out is the same: the log-probabilities and their gradients to rounding, and the answers
where the same random numbers are drawn.

Shapes: U prompts, B answers, P tokens of a prompt (left-padded), C of an answer (right-padded), H width, V words.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

FAMILIES: Final = ("llava_onevision",)
"""Whose forward pass takes up a sequence behind keys and values without more than the tokens."""
FEWER: Final = 0.75
"""Answers that have ended are let go of when no more than this share of those in hand goes on."""


class Prompts(NamedTuple):
    """The prompts of a batch, each once."""

    ids_UP: Tensor
    mask_UP: Tensor
    images: Mapping[str, Tensor]
    """By the name under which the model takes them, one row a prompt."""
    of_B: Tensor
    """Which of them each answer belongs to."""


def shareable(model: Any, checkpointing: bool) -> bool:
    """Whether a model's answers can share prompts; recomputing activations keeps no keys and values."""
    return str(model.config.model_type) in FAMILIES and not checkpointing


def distinct(ids_BP: Tensor, mask_BP: Tensor, images: Mapping[str, Tensor]) -> Prompts:
    """Return the prompts of a batch without those that equal an earlier one, token by token and pixel by pixel."""
    columns = [_bytes(column) for column in (ids_BP, mask_BP, *images.values())]
    places: dict[bytes, int] = {}
    firsts, of = list[int](), list[int]()
    for row in range(len(ids_BP)):
        name = hashlib.blake2b(digest_size=16)
        for column in columns:
            name.update(column[row].tobytes())
        place = places.setdefault(name.digest(), len(places))
        if place == len(firsts):
            firsts.append(row)
        of.append(place)
    one_each = {name: values[firsts] for name, values in images.items()}
    return Prompts(ids_BP[firsts], mask_BP[firsts], one_each, torch.tensor(of, device=ids_BP.device))


def read(model: Any, prompts: Prompts) -> tuple[DynamicCache, Tensor]:
    """Return each prompt's keys and values for its answers (B), and its last state (B, H): a first token follows it."""
    cache = DynamicCache(config=model.config.text_config)
    found = model.model(
        input_ids=prompts.ids_UP,
        attention_mask=prompts.mask_UP,
        past_key_values=cache,
        use_cache=True,
        **prompts.images,
    )
    for layer in cache.layers:  # not its own selection, whose gradient is a slower sum
        layer.keys, layer.values = (part.index_select(0, prompts.of_B) for part in (layer.keys, layer.values))
    return cache, found.last_hidden_state[:, -1].index_select(0, prompts.of_B)


def log_probabilities(
    model: Any, prompts: Prompts, ids_BC: Tensor, mask_BC: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each token of the answers (B, C) and the entropy there; 0 behind their ends."""
    cache, last_BH = read(model, prompts)
    states_BCH = last_BH[:, None]
    if ids_BC.shape[1] > 1:
        attention = torch.cat([prompts.mask_UP[prompts.of_B], mask_BC[:, :-1]], 1)
        found = model.model.language_model(input_ids=ids_BC[:, :-1], attention_mask=attention, past_key_values=cache)
        states_BCH = torch.cat([states_BCH, found.last_hidden_state], 1)
    kept = mask_BC.bool()
    logits_NV = model.lm_head(states_BCH[kept]).float() / temperature
    logs_NV = logits_NV.log_softmax(-1)
    said_N = logs_NV.gather(-1, ids_BC[kept][:, None]).squeeze(-1)
    with torch.no_grad():
        entropy_N = -(logs_NV.exp() * logs_NV).sum(-1)
    zeros = said_N.new_zeros(ids_BC.shape)
    return zeros.masked_scatter(kept, said_N), zeros.masked_scatter(kept, entropy_N)


@torch.no_grad()
def sample(model: Any, prompts: Prompts, max_tokens: int, temperature: float, ends: Sequence[int]) -> list[list[int]]:
    """Sample an answer of at most `max_tokens` to each of the B prompts; return its tokens, the end among them.

    The random numbers are those that transformers' `generate` draws from torch's default generator: for each token
    B x V, those of answers that have ended among them.
    """
    cache, last = read(model, prompts)
    answers: list[list[int]] = [[] for _ in range(len(last))]
    going = list(range(len(answers)))
    mask = prompts.mask_UP[prompts.of_B]
    held = list(going)  # whose keys and values are in the cache
    eager = str(model.config.text_config._attn_implementation).endswith("eager")
    how = {"by_group": True} if eager else {}  # see `seke.models.packed_attention.grouped`; plain attention ignores it
    for length in range(max_tokens):
        logits = model.lm_head(last).float() / temperature
        chance_BV = logits.new_full((len(answers), logits.shape[-1]), 1.0)
        chance_BV[held] = logits.softmax(-1)
        chosen = torch.multinomial(chance_BV, 1).squeeze(-1)
        for row, token in zip(going, chosen[going].tolist(), strict=True):
            answers[row].append(token)
        going = [row for row in going if answers[row][-1] not in ends]
        if not going or length == max_tokens - 1:
            break
        if len(going) <= FEWER * len(held):
            stay = torch.tensor([place for place, row in enumerate(held) if row in set(going)], device=last.device)
            cache.batch_select_indices(stay)
            mask, held = mask[stay], list(going)
        mask = torch.cat([mask, mask.new_ones((len(mask), 1))], 1)
        found = model.model.language_model(
            input_ids=chosen[held][:, None], attention_mask=mask, past_key_values=cache, use_cache=True, **how
        )
        last = found.last_hidden_state[:, -1]
    return answers


def _bytes(values: Tensor) -> Any:
    return (
        values.detach().to("cpu").contiguous().float().numpy() if values.is_floating_point() else values.cpu().numpy()
    )
