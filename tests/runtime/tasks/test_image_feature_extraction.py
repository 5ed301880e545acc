import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import ExactSize, ImageSpec, ShortestEdge
from onnxtasks.tasks.image_feature_extraction import ImageEmbedder, ImageFeatureExtractionSpec


class MeanColour:
    """Gives the mean of each channel, and hidden states of a class token and one part."""

    def __init__(self):
        self.asked = []

    def run(self, feeds, outputs=None):
        pixel_values = feeds["pixel_values"]
        self.asked.append((pixel_values.shape, outputs))
        mean = pixel_values.mean((2, 3))
        hidden = np.stack([mean, 3 * mean], 1)
        return {"embeddings": mean, "last_hidden_state": hidden}


def embedder(has_class_token=True, **image):
    image.setdefault("resize", ExactSize(height=4, width=6))
    spec = ImageFeatureExtractionSpec(
        image=ImageSpec(**image), pooling="pooler", has_class_token=has_class_token
    )
    return ImageEmbedder(MeanColour(), spec)


def plain(*colour, size=(8, 8)):
    return Image.new("RGB", size, colour)


def test_a_vector_is_the_pooled_output():
    task = embedder()
    vector = task(plain(3, 4, 0))
    np.testing.assert_array_equal(vector, np.array([3, 4, 0], np.float32))
    assert task.session.asked == [((1, 3, 4, 6), ["embeddings"])]
    np.testing.assert_allclose(task(plain(3, 4, 0), normalize=True), [0.6, 0.8, 0])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("none", [[3, 4, 0], [9, 12, 0]]),
        ("mean", [6, 8, 0]),
        ("cls", [3, 4, 0]),
        ("max", [9, 12, 0]),
    ],
)
def test_other_poolings_are_of_the_hidden_states(pooling, expected):
    task = embedder()
    np.testing.assert_array_equal(task(plain(3, 4, 0), pooling=pooling), expected)
    assert task.session.asked == [((1, 3, 4, 6), ["last_hidden_state"])]


def test_only_tensors_of_one_size_share_a_run_and_order_is_kept():
    task = embedder(resize=ShortestEdge(shortest_edge=2))
    items = [plain(9, 0, 0), plain(0, 8, 0, size=(16, 8)), plain(0, 0, 7)]
    found = task.predict(items)
    np.testing.assert_array_equal(found, np.diag([9, 8, 7]))
    assert [shape for shape, _ in task.session.asked] == [(2, 3, 2, 2), (1, 3, 2, 4)]
    assert found[0].base is None  # else each would hold its whole batch


def test_wrong_options_are_refused():
    task = embedder(has_class_token=False)
    with pytest.raises(InputError, match="pooling is 'last'; of pictures it is one of none, mean"):
        task(plain(1, 2, 3), pooling="last")
    with pytest.raises(InputError, match="this model has no class token; take 'mean' or None"):
        task(plain(1, 2, 3), pooling="cls")
    with pytest.raises(InputError, match="normalize is 2; it is True, False or None"):
        task(plain(1, 2, 3), normalize=2)
    with pytest.raises(InputError, match="no file"):
        task("nothere.png")
    assert task.predict([]) == []


def test_similarity_is_the_cosine():
    task = embedder()
    vectors = task.predict([plain(1, 0, 0), plain(200, 0, 0), plain(0, 5, 0)])
    np.testing.assert_allclose(task.similarity(vectors[0], vectors), [[1, 1, 0]], atol=1e-6)


def test_measure_and_example():
    task = embedder()
    assert task.measure(plain(1, 2, 3)) == 24
    assert task.example().size == (6, 4)
