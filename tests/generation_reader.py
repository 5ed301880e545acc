"""A `Reader` on a transformers model, to compare the decode loop with `generate`."""

from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from onnxtasks.generation.reader import Scores


class Sentence:
    """One prompt: the texts of its rows, and its cache."""

    def __init__(self, model, source, cached):
        self.model = model
        self.cached = cached
        self.texts = torch.zeros((1, 0), dtype=torch.int64)
        self.cache: Any = None
        self.encoded = None
        if source is not None:
            encoder = model.get_encoder()
            self.encoded = encoder(torch.from_numpy(source)[None]).last_hidden_state
        if cached:
            config = model.config.get_text_config(decoder=True)
            self.cache = DynamicCache(config=config)
            if source is not None:
                self.cache = EncoderDecoderCache(self.cache, DynamicCache(config=config))

    def read(self, tokens, parents=None):
        """Logits [row, token, word] after each of tokens [row, token]."""
        tokens = torch.from_numpy(np.array(tokens, np.int64))
        if parents is not None:
            parents = torch.from_numpy(np.array(parents, np.int64))
            self.texts = self.texts[parents]
            if self.cached:
                self.cache.reorder_cache(parents)
        self.texts = torch.cat([self.texts, tokens], dim=1)
        read = tokens if self.cached else self.texts
        feeds = {"use_cache": self.cached, "past_key_values": self.cache}
        if self.encoded is None:
            feeds["input_ids"] = read
        else:
            hidden = self.encoded.expand(len(read), -1, -1)
            feeds["encoder_outputs"] = BaseModelOutput(last_hidden_state=hidden)
            feeds["decoder_input_ids"] = read
        return self.model(**feeds).logits[:, -tokens.shape[1] :].float()

    def forget(self, tokens):
        self.texts = self.texts[:, : self.texts.shape[1] - tokens]
        if self.cached:
            self.cache.crop(-tokens)


class TorchReader:
    """Reads with transformers, one sentence at a time.

    `cached` reads only what is new; else the whole texts are read again in each call.
    """

    def __init__(self, model, sources=None, *, cached=True, room=None):
        self.model = model.eval()
        self.sources = sources
        self.cached = cached
        self.room = room
        self.words = model.config.get_text_config(decoder=True).vocab_size
        self.present = []
        self.calls = 0
        self.closed = 0

    @property
    def sentences(self):
        return len(self.present)

    @torch.no_grad()
    def prompt(self, prompts, *, top=0, normalized=False):
        sources = self.sources or [None] * len(prompts)
        self.present = [Sentence(self.model, source, self.cached) for source in sources]
        logits = [s.read(p[None])[:, -1:] for s, p in zip(self.present, prompts, strict=True)]
        return self.scores(torch.stack([rows[:, 0] for rows in logits]), top, normalized)

    @torch.no_grad()
    def step(self, tokens, parents, *, top=0, normalized=False):
        rows = zip(self.present, tokens, parents, strict=True)
        logits = [sentence.read(t[:, None], p)[:, -1] for sentence, t, p in rows]
        return self.scores(torch.stack(logits), top, normalized)

    @torch.no_grad()
    def chain(self, tokens):
        (sentence,) = self.present
        return self.scores(sentence.read(tokens[None]))

    def forget(self, tokens):
        (sentence,) = self.present
        sentence.forget(tokens)

    def keep(self, sentences):
        assert list(sentences) == sorted(set(sentences))
        self.present = [self.present[i] for i in sentences]

    def close(self):
        self.closed += 1
        self.present = []

    def scores(self, logits, top=0, normalized=False):
        """What the loop gets of logits [sentence, row, word]."""
        self.calls += 1
        log_probs = torch.log_softmax(logits, dim=-1)
        if not top:
            return Scores(logits=(log_probs if normalized else logits).numpy().copy())
        values, ids = log_probs.topk(top)
        return Scores(top_scores=values.numpy(), top_ids=ids.numpy())
