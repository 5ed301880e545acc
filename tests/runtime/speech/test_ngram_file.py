import gzip

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import hash_texts
from onnxtasks.speech.ngram import NGramModel
from onnxtasks.speech.ngram_cache import MANIFEST, read_ngrams
from onnxtasks.speech.ngram_file import read_arpa
from tests.runtime.speech.arpa import ARPA


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def test_arrays(file):
    arrays = read_arpa(file)
    words = NGramModel(arrays).words()
    assert sorted(words) == ["</s>", "<s>", "<unk>", "a", "b"]
    assert arrays.hashes.tolist() == sorted(hash_texts(words).tolist())
    assert [words[place] for place in (arrays.unknown, arrays.start, arrays.end)] == [
        *("<unk>", "<s>", "</s>")
    ]
    weights = dict(zip(words, zip(arrays.scores[0], arrays.backoffs[0], strict=True), strict=True))
    assert weights == {
        "<unk>": (-1.5, 0),
        "<s>": (-99, -0.25),
        "</s>": (-1, 0),
        "a": (-0.5, -0.125),
        "b": (-0.75, -0.5),
    }
    pairs = [(words[key // 5], words[key % 5]) for key in arrays.keys[0].tolist()]
    assert dict(zip(pairs, arrays.scores[1].tolist(), strict=True)) == {
        ("<s>", "a"): -0.25,
        ("a", "b"): -0.5,
        ("b", "</s>"): -0.125,
        ("b", "a"): -2,
    }
    (triple,) = arrays.keys[1].tolist()
    assert (pairs[triple // 5], words[triple % 5]) == (("<s>", "a"), "b")


def test_gzip_and_spaces_between_fields(file, tmp_path):
    zipped = tmp_path / "model.gz"
    zipped.write_bytes(gzip.compress(ARPA.replace("\t", "  ").replace("\n", "\r\n").encode()))
    same(read_arpa(zipped), read_arpa(file))


def test_a_model_without_unknown_word(tmp_path):
    path = tmp_path / "model.arpa"
    path.write_text(ARPA.replace("-1.5\t<unk>\n", "").replace("1=5", "1=4"), encoding="utf-8")
    arrays = read_arpa(path)
    assert arrays.scores[0][arrays.unknown] == -100
    assert len(arrays.hashes) == 5


WRONG = {
    "nothing": (ARPA, "", "no line is .data.: not an ARPA file"),
    "no counts": ("ngram 1=5\nngram 2=4\nngram 3=1\n", "", r"line 4: .* 'ngram 1=COUNT' was"),
    "order": ("ngram 2", "ngram 3", "line 4: 'ngram 3=4' where 'ngram 2=COUNT' was expected"),
    "count": ("2=4", "2=four", "line 4: 'ngram 2=four' where"),
    "empty": ("2=4", "2=0", "line 4: there are no 2-grams"),
    "too few": ("2=4", "2=5", r"line 20: .*3-grams:' after 4 2-grams; the header says .* 5"),
    "too many": ("2=4", "2=3", "line 18: '-2 b a': one 2-gram more than the 3 of the header"),
    "section": ("\\2-grams", "\\4-grams", r"line 14: .*4-grams:' where .2-grams: was expected"),
    "no section": ("\\3-grams:", "-1 a b", "one 2-gram more"),
    "number": ("-0.75", "-0,75", "line 12: '-0,75' is not a number"),
    "nan": ("-0.75", "nan", "line 12: 'nan' is not a finite number"),
    "positive": ("-0.75", "0.75", "line 12: log10 of a probability is 0.75"),
    "fields": ("a b\t-1", "a b c\t-1", "line 16: 5 fields; a 2-gram has"),
    "word": ("b a", "b c", "line 18: 'c' is not among the 1-grams"),
    "twice": ("-0.75\tb", "-0.75\ta", "line 12: 'a' is there twice"),
    "pair twice": ("b a", "a b\t-1", "line 18: this n-gram is there twice"),
    "context": ("<s> a b", "b b a", "line 21: the first 2 words are not among the 2-grams"),
    "back-off": (
        "a\t-0.125\n",
        "a\n",
        "line 11: this 1-gram has no back-off weight, but the 2-gram of line 16 continues it",
    ),
    "back-off of two": ("a\t-0.0625", "a", "line 15: this 2-gram .* the 3-gram of line 21"),
    "no start": ("<s>", "<S>", "<s> is not among the 1-grams"),
    "end": ("\\end\\", "\\stop\\", r"line 23: .*stop.* where .end. was expected"),
    "cut": ("\\end\\\n", "", "line 22: the file ends here, without .end.; it may have been cut"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files(name, tmp_path):
    old, new, said = WRONG[name]
    path = tmp_path / "model.arpa"
    assert old in ARPA
    path.write_text(ARPA.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_arpa(path)


def test_words_that_are_not_utf_8(tmp_path):
    path = tmp_path / "model.arpa"
    path.write_bytes(ARPA.encode().replace(b"\tb\t", b"\t\xff\t"))
    with pytest.raises(InputError, match=r"line 12: b'\\xff' is not UTF-8"):
        read_arpa(path)


def test_a_gzip_file_that_was_cut(tmp_path):
    path = tmp_path / "model.gz"
    path.write_bytes(gzip.compress(ARPA.encode())[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read_arpa(path)


def same(one, other):
    for name in ("hashes", "points", "ends"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    for name in ("keys", "scores", "backoffs"):
        pairs = zip(getattr(one, name), getattr(other, name), strict=True)
        assert all(np.array_equal(first, second) for first, second in pairs)
    assert (one.unknown, one.start, one.end) == (other.unknown, other.start, other.end)


def test_cache(file, tmp_path):
    folder = tmp_path / "made/cache"
    same(read_ngrams(file, folder), read_arpa(file))
    written = (folder / MANIFEST).stat().st_mtime_ns
    same(read_ngrams(file, folder), read_arpa(file))
    assert (folder / MANIFEST).stat().st_mtime_ns == written
    same(read_ngrams(folder), read_arpa(file))
    file.write_text(ARPA.replace("-0.375", "-0.625"), encoding="utf-8")
    assert read_ngrams(file, folder).scores[2].tolist() == [-0.625]


def test_caches_that_are_wrong(file, tmp_path):
    folder = tmp_path / "cache"
    with pytest.raises(InputError, match="there is no such language model"):
        read_ngrams(folder)
    read_ngrams(file, folder)
    np.save(folder / "scores.2.npy", np.zeros(3, np.float32))
    with pytest.raises(InputError, match="the files do not fit together"):
        read_ngrams(folder)
    np.save(folder / "scores.2.npy", np.zeros(4, np.float64))
    with pytest.raises(InputError, match="not a row of float32"):
        read_ngrams(folder)
    (folder / "scores.2.npy").unlink()
    with pytest.raises(InputError, match="an array that cannot be read|array that cannot be read"):
        read_ngrams(folder)
    manifest = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(manifest.replace('"version":1', '"version":0'), encoding="utf-8")
    with pytest.raises(InputError, match="a cache of version 0, this reads 1"):
        read_ngrams(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(InputError, match="not a language model's cache"):
        read_ngrams(folder)


def test_a_cache_that_cannot_be_written(file):
    with pytest.raises(InputError, match="cache cannot be written"):
        read_ngrams(file, file / "cache")
