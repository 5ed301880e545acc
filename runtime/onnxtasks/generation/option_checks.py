"""What an option of generation may be, and which options exclude each other."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeAlias

from onnxtasks.errors import InputError

Check: TypeAlias = Callable[[str, Any], Any]
"""Takes an option's name and value; returns the value as it is kept."""

NEW_TOKENS = 20
"""What transformers writes where neither the call nor the checkpoint sets a length."""
SAMPLING = (
    *("temperature", "top_k", "top_p", "min_p", "typical_p"),
    *("epsilon_cutoff", "eta_cutoff", "seed"),
)
"""Options that only sampling uses."""
BEAMS = ("early_stopping", "length_penalty")
"""Options that only beam search uses."""
SHAPES = ("choices", "regex", "json_schema")
"""Options that each decide what the whole text looks like."""


def known(options: Collection[str], names: Collection[str]) -> None:
    """Refuse options that there are not.

    Raises:
        InputError: An unknown name; the message lists the nearest ones, or all.
    """
    for name in options:
        if name not in names:
            near = get_close_matches(name, names, n=3)
            known_names = ", ".join(near or sorted(names))
            raise InputError(
                f"no option {name!r}; {'did you mean' if near else 'there are'} {known_names}"
            )


def contradictions(values: Mapping[str, Any], given: Mapping[str, Any], items: int) -> None:
    """Refuse options that exclude each other.

    Args:
        values: What every option comes to.
        given: What the call gives of them.
        items: How many inputs the call has.

    Raises:
        InputError: Two options contradict each other.
    """
    _ways(values, given)
    _lengths(values, given)
    _prompt_lookup(values, given, items)
    shapes = [name for name in SHAPES if values.get(name) not in (None, ())]
    if len(shapes) > 1:
        raise InputError(f"{' and '.join(shapes)} exclude each other; give one of them")
    suppressed = set(values["suppress_tokens"])
    bos, eos = values["forced_bos_token_id"], values["forced_eos_token_id"]
    for name, ids in (
        ("forced_bos_token_id", () if bos is None else (bos,)),
        ("forced_eos_token_id", eos),
    ):
        if ids and suppressed.issuperset(ids):
            raise InputError(
                f"{name} is {_shown(ids)}, which suppress_tokens forbids; take it out of one of "
                "them (min_new_tokens keeps a text from ending early)"
            )


def _ways(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Options of a way to search that is not the call's, and how many texts it returns."""
    beams, returned = values["num_beams"], values["num_return_sequences"]
    for name in SAMPLING:
        if name in given and not values["do_sample"]:
            raise InputError(
                f"{name} is {given[name]!r}, which only sampling uses; add do_sample=True, or "
                f"leave {name} out"
            )
    for name in BEAMS:
        if name in given and beams == 1:
            raise InputError(
                f"{name} is {given[name]!r}, which only beam search uses; add num_beams, or leave "
                f"{name} out"
            )
    if beams > 1 and returned > beams:
        raise InputError(
            f"num_return_sequences is {returned} and num_beams {beams}; ask for at most as many "
            "texts as there are beams"
        )
    if beams == 1 and returned > 1 and not values["do_sample"]:
        raise InputError(
            f"num_return_sequences is {returned}, and greedy search has one text; add "
            f"num_beams={returned} or do_sample=True"
        )


def _lengths(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A length given twice, or a minimum above the maximum."""
    for counted, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        if counted in given and new in given:
            raise InputError(
                f"{counted} is {given[counted]} and {new} {given[new]}: both say the same, with "
                f"and without the prompt; give {new} alone"
            )
    least = "min_length" if values["min_new_tokens"] is None else "min_new_tokens"
    most = "max_length" if values["max_new_tokens"] is None else "max_new_tokens"
    if least not in given and most not in given:
        return  # a checkpoint may well say more than it means
    low, high = values[least], values[most]
    if high is None:
        most, high = "max_new_tokens", NEW_TOKENS
    if (least, most) == ("min_length", "max_new_tokens"):
        return  # it depends on the prompt
    counts = ", which counts the prompt too" if least[4:] != most[4:] else ""
    if low > high or (counts and low == high):  # a prompt has at least one token
        raise InputError(
            f"{least} is {low} and {most} {high}{counts}; give a smaller {least} or a larger {most}"
        )


def _prompt_lookup(values: Mapping[str, Any], given: Mapping[str, Any], items: int) -> None:
    """What tokens looked up in the prompt cannot go with."""
    tokens = given.get("prompt_lookup_num_tokens")
    if tokens == 0 and "max_matching_ngram_size" in given:
        raise InputError(
            f"max_matching_ngram_size is {given['max_matching_ngram_size']}, and "
            "prompt_lookup_num_tokens 0 switches the look-up off; leave one of them out"
        )
    if not tokens:
        return
    reasons = {
        f"num_beams is {values['num_beams']}": values["num_beams"] > 1,
        "do_sample is True": values["do_sample"],
        f"there are {items} inputs": items > 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise InputError(
                f"prompt_lookup_num_tokens is {tokens} and {reason}; prompt look-up is for greedy "
                "search with one input at a time; leave it out, or set it to 0"
            )


def _whole(least: int) -> Check:
    """A whole number of at least `least`."""

    def check(name: str, value: Any) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} is {value!r}; it is a whole number of at least {least}")
        return int(value)

    return check


def _number(what: str, fits: Callable[[float], bool]) -> Check:
    """A finite number that fits; `what` says which do."""

    def check(name: str, value: Any) -> float:
        if not isinstance(value, Real) or isinstance(value, bool):
            raise InputError(f"{name} is {value!r}; it is {what}")
        if not math.isfinite(value) or not fits(float(value)):
            raise InputError(f"{name} is {value!r}; it is {what}")
        return float(value)

    return check


def _temperature(name: str, value: Any) -> float:
    if isinstance(value, Real) and value == 0:
        raise InputError(
            f"{name} is {value!r}; it is above 0. For the likeliest words, leave do_sample out"
        )
    return float(_ABOVE_0(name, value))


def _flag(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it is True or False")
    return value


def _early_stopping(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and value != "never":
        raise InputError(f"{name} is {value!r}; it is True, False or 'never'")
    return value


def _ids(name: str, value: Any) -> tuple[int, ...]:
    """Token ids; one alone may stand without a list."""
    ids = [value] if isinstance(value, Integral) and not isinstance(value, bool) else value
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InputError(f"{name} is {value!r}; it is a list of token ids")
    return tuple(_id(name, one) for one in ids)


def _id(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
        raise InputError(f"{name} has {value!r}; a token id is a whole number of at least 0")
    return int(value)


def _sequence(name: str, value: Any) -> tuple[int, ...]:
    """Token ids that follow each other."""
    if isinstance(value, str | bytes | Integral) or not isinstance(value, Iterable):
        raise InputError(f"{name} has {value!r}; it holds lists of token ids")
    ids = _ids(name, value)
    if not ids:
        raise InputError(f"{name} has an empty list; each holds at least one token id")
    return ids


def _sequences(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InputError(f"{name} is {value!r}; it is a list of lists of token ids")
    return tuple(_sequence(name, ids) for ids in value)


def _bias(name: str, value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """A dict, or the list of pairs that a generation config holds in its place."""
    pairs = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise InputError(f"{name} is {value!r}; it is a dict from token ids to a number")
    found: dict[tuple[int, ...], float] = {}
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"{name} has {pair!r}; it is a dict from token ids to a number")
        ids, bias = pair
        number = isinstance(bias, Real) and not isinstance(bias, bool)
        if not number or math.isnan(bias) or bias == math.inf:
            raise InputError(
                f"{name} has {bias!r} for {ids!r}; it is a number, -inf for what must not come"
            )
        found[_sequence(name, ids)] = float(bias)
    return tuple(found.items())


def _decay(name: str, value: Any) -> tuple[int, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InputError(f"{name} is {value!r}; it is (after how many tokens, factor)")
    start, factor = value
    return _whole(0)(f"the first of {name}", start), _ABOVE_0(f"the second of {name}", factor)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """One text, or several; none of them empty."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Iterable):
        raise InputError(f"{name} is {value!r}; it is a list of texts")
    found = tuple(texts)
    for text in found:
        if not isinstance(text, str) or not text:
            raise InputError(f"{name} has {text!r}; each is a text of at least one character")
    return found


def _several_texts(name: str, value: Any) -> tuple[str, ...]:
    """Texts of which there has to be one."""
    if isinstance(value, str) or not _texts(name, value):
        raise InputError(f"{name} is {value!r}; it is a list of at least one text")
    return _texts(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} is {value!r}; it is a text of at least one character")
    return value


def _schema(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping) and not (isinstance(value, str) and value):
        raise InputError(f"{name} is {value!r}; it is a JSON schema, as a dict or as its text")
    return value


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise InputError(f"{name} is {value!r}; it is a function")
    return value


def _functions(name: str, value: Any) -> tuple[Any, ...]:
    found = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(callable(one) for one in found):
        raise InputError(f"{name} is {value!r}; it is a list of functions")
    return found


def _shown(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


_ABOVE_0 = _number("a number above 0", lambda x: x > 0)
_SHARE = _number("a number from 0 to 1", lambda x: 0 <= x <= 1)
_CUTOFF = _number("a number from 0 to less than 1", lambda x: 0 <= x < 1)

CHECKS: dict[str, Check] = {
    "max_new_tokens": _whole(1),
    "max_length": _whole(1),
    "min_new_tokens": _whole(0),
    "min_length": _whole(0),
    "num_beams": _whole(1),
    "do_sample": _flag,
    "early_stopping": _early_stopping,
    "length_penalty": _number("a number", lambda x: True),
    "num_return_sequences": _whole(1),
    "temperature": _temperature,
    "top_k": _whole(0),
    "top_p": _SHARE,
    "min_p": _SHARE,
    "typical_p": _number("a number above 0, at most 1", lambda x: 0 < x <= 1),
    "epsilon_cutoff": _CUTOFF,
    "eta_cutoff": _CUTOFF,
    "repetition_penalty": _ABOVE_0,
    "encoder_repetition_penalty": _ABOVE_0,
    "no_repeat_ngram_size": _whole(0),
    "encoder_no_repeat_ngram_size": _whole(0),
    "bad_words": _texts,
    "bad_words_ids": _sequences,
    "suppress_tokens": _ids,
    "begin_suppress_tokens": _ids,
    "forced_bos_token_id": _whole(0),
    "forced_eos_token_id": _ids,
    "exponential_decay_length_penalty": _decay,
    "sequence_bias": _bias,
    "renormalize_logits": _flag,
    "remove_invalid_values": _flag,
    "seed": _whole(0),
    "stop_strings": _texts,
    "max_time": _ABOVE_0,
    "prompt_lookup_num_tokens": _whole(0),
    "max_matching_ngram_size": _whole(1),
    "choices": _several_texts,
    "regex": _text,
    "json_schema": _schema,
    "rules": _functions,
    "stop": _function,
    "prefix_allowed_tokens_fn": _function,
    "eos_token_id": _ids,
}
"""One for each option of a call."""
