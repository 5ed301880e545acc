"""Small random token classifiers whose classes are about equally frequent."""

from pathlib import Path

import torch
import transformers

from tests.awkward import awkward_texts
from tests.text_checkpoints import text_checkpoint

LEAN = (0.0, 0.0, 0.7, 0.0, 0.0, 0.7)  # to I-PER and MISC, so that some entities are long
SPREAD = 1.5  # standard deviation of a logit


def entity_checkpoint(folder: Path, family: str) -> Path:
    """Write a token classifier of a family.

    As drawn, its head has favourites: a family would give one class, and with it nearly one entity,
    for all texts. So the head is shifted and scaled by what it gives for some texts.
    """
    text_checkpoint(folder, family, "ForTokenClassification")
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        texts = [tokenizer(text, return_tensors="pt", truncation=True) for text in TEXTS]
        logits = torch.cat([model(**text).logits[0] for text in texts])
        scale = SPREAD / logits.std(0)
        model.classifier.weight *= scale[:, None]
        model.classifier.bias -= logits.mean(0)
        model.classifier.bias *= scale
        model.classifier.bias += torch.tensor(LEAN)
    model.save_pretrained(folder)
    return folder


TEXTS = awkward_texts(80, seed=21)[-24:]
