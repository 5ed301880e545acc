"""The original audio classifier: transformers' pipeline, one recording at a time."""

import msgspec
import numpy as np
from transformers import AudioClassificationPipeline

from onnxtasks.ops.audio import AudioLike, read_audio
from onnxtasks.ops.audio_windows import cut_windows, window_samples
from onnxtasks.ops.scores import Float
from onnxtasks.tasks.audio_classification import AudioClassificationSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, ask_classifier, label_answer
from onnxtasks_export.originals.speech_recognition import recordings
from onnxtasks_export.specs.audio_classification import spec

LONGEST = 3600.0  # seconds of a user's sample


def spec_of(checkpoint: Checkpoint) -> AudioClassificationSpec:
    """Read the checkpoint's settings.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    extractor = checkpoint.processors["feature_extractor"].to_dict()
    return spec(extractor, checkpoint.config.to_dict())


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with transformers' AudioClassificationPipeline, one recording at a time.

    The generated recordings are as long as the model hears at once, or shorter. A user's longer
    one is compared with the mean of what the pipeline says of its windows.
    """
    pipeline = AudioClassificationPipeline(
        model=checkpoint.model,
        feature_extractor=checkpoint.processors["feature_extractor"],
        device="cpu",
    )
    settings = spec_of(checkpoint)
    audio = settings.audio
    plan = window_samples(None, None, settings.window_seconds, audio)
    rate = audio.sampling_rate

    def samples(rng: np.random.Generator) -> list[AudioLike]:
        # Decoding and resampling are the runtime's own: agreement is claimed at the model's rate.
        whole = recordings(rate, rng)
        return [(item[0][: plan[0]], rate) for item in whole if isinstance(item, tuple)]

    def original(item: AudioLike) -> Answer:
        wave = read_audio(item, msgspec.structs.replace(audio, max_seconds=LONGEST))
        windows = [ask(pipeline, window) for _, window in cut_windows([wave], *plan)]
        return label_answer(np.mean(windows, 0).tolist())

    return Comparison(samples=samples, original=original, bundle=ask_classifier)


def ask(pipeline: AudioClassificationPipeline, samples: Float) -> Float:
    """The pipeline's scores of a recording at its model's rate, by class id."""
    outputs = pipeline.forward(pipeline.preprocess(samples))
    ranked = pipeline.postprocess(outputs, top_k=pipeline.model.config.num_labels)
    # Its answer has no class ids, and names may repeat; its ranking is that of the logits.
    order = np.argsort(-outputs["logits"][0].numpy(), kind="stable")
    scores = np.empty(len(order), np.float32)
    scores[order] = [label["score"] for label in ranked]
    return scores
