"""The options of `run` for speech recognition: those of CTC models, and those of Whisper."""

from dataclasses import dataclass
from typing import Annotated, Literal

from typer import Option

ChunkSeconds = Annotated[
    float | None,
    Option(help="CTC: cut recordings into windows of so many seconds; long ones are in any case."),
]
StrideSeconds = Annotated[
    float | None,
    Option(help="CTC: seconds that a window reaches into its neighbours; a sixth if not given."),
]
Decoder = Annotated[
    Literal["greedy", "beam"] | None,
    Option(help="CTC: how symbols become text; beam where the bundle has a language model."),
]
BeamWidth = Annotated[int | None, Option(help="CTC beams: hypotheses that are kept; 100.")]
BeamPruneLogp = Annotated[
    float | None, Option(help="CTC beams: drop what is worse than the best by more; -10.")
]
TokenMinLogp = Annotated[
    float | None, Option(help="CTC beams: skip symbols that are less likely; -5.")
]
Hotword = Annotated[
    list[str] | None,
    Option(metavar="WORD", help="CTC beams: a word to favour; may be given again."),
]
HotwordWeight = Annotated[float | None, Option(help="CTC beams: how much; 10.")]
Alpha = Annotated[float | None, Option(help="CTC beams: weight of the language model.")]
Beta = Annotated[float | None, Option(help="CTC beams: added for each word.")]
UnkScoreOffset = Annotated[
    float | None, Option(help="CTC beams: added for words that the language model does not know.")
]
Language = Annotated[
    str | None, Option(help="Whisper: the language spoken, such as en; heard if not given.")
]
Translate = Annotated[
    bool | None, Option("--translate", help="Whisper: write English, whatever is spoken.")
]
InitialPrompt = Annotated[
    str | None, Option(help="Whisper: text that is said to go before: names and spellings.")
]
Method = Annotated[
    Literal["sequential", "batched"] | None,
    Option(help="Whisper: windows one after the other, or several at once."),
]
Vad = Annotated[bool | None, Option("--vad", help="Whisper: only hear where somebody speaks.")]
ConditionOnPreviousText = Annotated[
    bool | None,
    Option(
        "--condition-on-previous-text/--no-condition-on-previous-text",
        help="Whisper: read what was written for the windows before.",
    ),
]
BestOf = Annotated[
    int | None,
    Option(help="Whisper: samples, of which the best is taken; above temperature 0."),
]
CompressionRatioThreshold = Annotated[
    float | None, Option(help="Whisper: above it a text repeats itself, and is written again.")
]
LogprobThreshold = Annotated[
    float | None, Option(help="Whisper: below it a text is too unlikely, and is written again.")
]
NoSpeechThreshold = Annotated[
    float | None, Option(help="Whisper: above it nobody speaks, and a window is skipped.")
]
HallucinationSilenceThreshold = Annotated[
    float | None,
    Option(help="Whisper: seconds of silence around words too unlikely to be true."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechOptions:
    """What is handed to the recogniser's `predict`; CTC models and Whisper take some each."""

    chunk_seconds: ChunkSeconds = None
    stride_seconds: StrideSeconds = None
    decoder: Decoder = None
    beam_width: BeamWidth = None
    beam_prune_logp: BeamPruneLogp = None
    token_min_logp: TokenMinLogp = None
    hotword: Hotword = None
    hotword_weight: HotwordWeight = None
    alpha: Alpha = None
    beta: Beta = None
    unk_score_offset: UnkScoreOffset = None
    language: Language = None
    translate: Translate = None
    initial_prompt: InitialPrompt = None
    method: Method = None
    vad: Vad = None
    condition_on_previous_text: ConditionOnPreviousText = None
    best_of: BestOf = None
    compression_ratio_threshold: CompressionRatioThreshold = None
    logprob_threshold: LogprobThreshold = None
    no_speech_threshold: NoSpeechThreshold = None
    hallucination_silence_threshold: HallucinationSilenceThreshold = None
