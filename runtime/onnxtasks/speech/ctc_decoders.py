"""The beam decoders of one CTC model: one for each weighting that was asked for."""

from collections.abc import Sequence

from onnxtasks.bundle import Bundle
from onnxtasks.errors import BundleError, InputError
from onnxtasks.speech.beam_decoder import BeamDecoder, read_language_model
from onnxtasks.speech.ctc_beams import symbols_for_beams
from onnxtasks.speech.ctc_options import BeamOptions
from onnxtasks.speech.ctc_spec import CtcSpeechSpec
from onnxtasks.speech.ngram import LanguageModel

Weights = tuple[float, float, float]


class Decoders:
    """Makes a decoder when it is first asked for; they share the language model."""

    def __init__(
        self,
        spec: CtcSpeechSpec,
        decoder: BeamDecoder | None = None,
        language_model: LanguageModel | None = None,
        unigrams: Sequence[str] | None = None,
    ) -> None:
        """Take what decoders are made of.

        Args:
            spec: The model's settings.
            decoder: A decoder over the model's symbols, which is used as it is.
            language_model: That of the spec, loaded.
            unigrams: The words that it knows; None: its own.
        """
        self.spec = spec
        self.wanted = decoder is not None or language_model is not None
        """Whether beam search is the default."""
        self._given = decoder
        self._language_model, self._unigrams = language_model, unigrams
        self._made: dict[Weights, BeamDecoder] = {}

    @classmethod
    def of_bundle(cls, bundle: Bundle, spec: CtcSpeechSpec) -> "Decoders":
        """Load the language model of a bundle, where it has one.

        Raises:
            BundleError: Its files are missing or damaged.
        """
        if spec.language_model is None:
            return cls(spec)
        part = spec.language_model
        try:
            model = read_language_model(bundle.file(part.file))
        except InputError as error:
            raise BundleError(f"{bundle.folder}: its language model: {error}") from None
        unigrams = None
        if part.unigrams is not None:
            unigrams = bundle.file(part.unigrams).read_text(encoding="utf-8").split("\n")
            unigrams = [word for word in unigrams if word]
        decoders = cls(spec, None, model, unigrams)
        decoders.get(BeamOptions())  # mistakes in it are told when it is loaded
        return decoders

    def get(self, options: BeamOptions) -> BeamDecoder:
        """The decoder with these weights.

        Raises:
            InputError: Weights for a language model that is not there, or for a decoder that has
                its own; symbols that beam search cannot use.
        """
        asked = (options.alpha, options.beta, options.unk_score_offset)
        names = ("alpha", "beta", "unk_score_offset")
        changed = [name for name, value in zip(names, asked, strict=True) if value is not None]
        if self._given is not None:
            if changed:
                raise InputError(
                    f"{changed[0]} belongs to the decoder that was passed: set it there"
                )
            return self._given
        part = self.spec.language_model
        if changed and (part is None or self._language_model is None):
            raise InputError(f"{changed[0]} weighs a language model; this model has none")
        own = (0.5, 1.5, -10.0) if part is None else (part.alpha, part.beta, part.unk_score_offset)
        weights: Weights = tuple(  # type: ignore[assignment]  # three of three
            default if value is None else value for value, default in zip(asked, own, strict=True)
        )
        if weights not in self._made:
            self._made[weights] = BeamDecoder(
                symbols_for_beams(self.spec.ctc) if part is None else part.symbols,
                self._language_model,
                *weights,
                self._unigrams,
                part is None or part.score_boundary,
            )
        return self._made[weights]
