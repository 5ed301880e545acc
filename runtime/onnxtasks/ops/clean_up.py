"""Spaces that decoding leaves where English has none."""

TIGHTENED = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def clean_up(text: str) -> str:
    """Join punctuation and contractions to the word before.

    transformers' `PreTrainedTokenizerBase.clean_up_tokenization`, in its order.
    """
    for spaced, tight in TIGHTENED:
        text = text.replace(spaced, tight)
    return text
