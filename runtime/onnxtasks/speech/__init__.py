"""Long recordings: windows, Whisper, beam search over CTC scores, times, transcript files."""
