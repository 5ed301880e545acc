import os
import re
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops.image_reading import MAX_PIXELS, image_size, read_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image, format="PNG", **options):
    file = BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def rgb(values):
    """Pixels [height, width] or [height, width, 3] as a Pillow image."""
    return Image.fromarray(np.array(values, np.uint8))


def column(*colours):
    """A picture two pixels wide, one row a colour."""
    return rgb([[colour, colour] for colour in colours])


def pixels(item, **options):
    image = read_image(item, **options)
    assert image.mode == "RGB"
    return np.asarray(image)[:, 0].tolist()


def bare_png(width, height):
    """A PNG whose header promises a size, without the pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def refused(item, message, **options):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_image(item, **options)
    return str(caught.value)


def test_reads_path_str_bytes_pillow_and_array_alike(tmp_path):
    image = column(RED, GREEN, BLUE)
    path = tmp_path / "picture.png"
    image.save(path)
    array = np.asarray(image)
    for item in (path, str(path), path.read_bytes(), image, array, array[::1, ::-1]):
        assert pixels(item) == [list(RED), list(GREEN), list(BLUE)]
        assert image_size(item) == (3, 2)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (2, 2), 1), [255, 255, 255]),
        (Image.new("L", (2, 2), 7), [7, 7, 7]),
        (Image.new("LA", (2, 2), (7, 0)), [7, 7, 7]),
        (Image.new("RGBA", (2, 2), (1, 2, 3, 0)), [1, 2, 3]),
        (Image.new("RGBX", (2, 2), (1, 2, 3, 4)), [1, 2, 3]),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), [255, 0, 0]),
        (Image.new("YCbCr", (2, 2), (9, 128, 128)), [9, 9, 9]),
        (Image.new("HSV", (2, 2), (0, 0, 40)), [40, 40, 40]),
        (Image.new("RGB", (2, 2), GREEN).quantize(4), [0, 255, 0]),
        (Image.new("RGBA", (2, 2), (9, 8, 7, 6)).convert("PA"), [9, 8, 7]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_8_bit_modes_become_rgb_and_alpha_is_dropped(image, expected):
    assert pixels(image)[0] == pytest.approx(expected, abs=1 if image.mode == "PA" else 0)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_16_bit_values_are_scaled_not_cut(mode):
    order = ">u2" if mode == "I;16B" else "<u2"
    data = np.array([[0, 256], [257, 0], [32896, 0], [65535, 0]], order).tobytes()
    image = Image.frombytes(mode, (2, 4), data)
    assert [value[0] for value in pixels(image)] == [0, 1, 128, 255]


def test_16_bit_png_is_scaled():
    image = Image.fromarray(np.array([[0, 0], [300 * 128, 0]], np.uint16))
    assert pixels(encoded(image)) == [[0, 0, 0], [149, 149, 149]]


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int32, [0, 257, 65535], [0, 1, 255]),
        (np.int32, [0, 100, 255], [0, 100, 255]),
        (np.float32, [0, 257.5, 65535], [0, 1, 255]),
        (np.float32, [0, 99.9, 255], [0, 99, 255]),
        (np.float32, [0, 0.5, 1], [0, 128, 255]),
    ],
)
def test_32_bit_values_are_scaled_by_their_range(dtype, values, expected):
    image = Image.fromarray(np.array([[v, 0] for v in values], dtype))
    assert [value[0] for value in pixels(image)] == expected


@pytest.mark.parametrize("values", [[-1, 0], [0, 65536], [np.nan, 0.0]])
def test_32_bit_values_without_a_known_range_are_refused(values):
    image = Image.fromarray(np.array([values, values], np.float32))
    refused(image, "the Pillow image of mode F has values from")


def test_palette_with_alpha_bytes_gives_no_warning():
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    data = encoded(image, transparency=b"\x00\x80")
    assert isinstance(Image.open(BytesIO(data)).info["transparency"], bytes)
    assert pixels(data)[0] == [10, 20, 30]


def test_one_transparent_colour_is_kept_as_information():
    data = encoded(column(RED, GREEN), transparency=RED)
    assert read_image(data).info["transparency"] == RED


ARROW = [[RED, GREEN], [BLUE, BLUE], [BLUE, BLUE]]  # 3 rows, 2 columns, red at the top left


@pytest.mark.parametrize(
    ("orientation", "corner", "size"),
    [
        (1, (0, 0), (3, 2)),
        (2, (0, 1), (3, 2)),
        (3, (2, 1), (3, 2)),
        (4, (2, 0), (3, 2)),
        (5, (0, 0), (2, 3)),
        (6, (0, 2), (2, 3)),
        (7, (1, 2), (2, 3)),
        (8, (1, 0), (2, 3)),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation, corner, size, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(rgb(ARROW), format, exif=exif)
    upright = np.asarray(read_image(data))
    assert tuple(upright[corner]) == RED
    assert image_size(data) == upright.shape[:2] == size


def test_an_array_of_one_channel_or_four():
    grey = np.array([[5, 6], [7, 8]], np.uint8)
    assert pixels(grey) == pixels(grey[..., None]) == [[5, 5, 5], [7, 7, 7]]
    four = np.array([[[1, 2, 3, 0]] * 2] * 2, np.uint8)
    assert pixels(four) == [[1, 2, 3], [1, 2, 3]]


def animation(format, *colours):
    frames = [Image.new("RGB", (4, 4), colour) for colour in colours]
    options = {"lossless": True} if format == "WEBP" else {}
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize(
    ("format", "what"),
    [("GIF", "frames"), ("PNG", "frames"), ("WEBP", "frames"), ("TIFF", "pages")],
)
def test_of_several_frames_the_first_is_taken_with_a_warning(format, what, tmp_path):
    path = tmp_path / "moving"
    path.write_bytes(animation(format, RED, GREEN, BLUE))
    for item, name in ((path, f"'{path}'"), (path.read_bytes(), "the image of ")):
        with pytest.warns(TruncationWarning, match=f"{name}.* has 3 {what}") as caught:
            assert pixels(item)[0] == list(RED)
        assert len(caught) == 1
        assert image_size(item) == (4, 4)  # warns only where a frame is taken


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_pillow_image_is_taken_at_its_current_frame(format):
    image = Image.open(BytesIO(animation(format, RED, GREEN, BLUE)))
    for frame, colour in enumerate((RED, GREEN, BLUE)):
        image.seek(frame)
        assert pixels(image)[0] == list(colour)
        assert image.tell() == frame


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_one_frame_gives_no_warning(format):
    assert pixels(animation(format, GREEN))[0] == list(GREEN)


def test_the_preview_inside_a_photo_gives_no_warning():
    data = animation("MPO", RED, GREEN)
    with Image.open(BytesIO(data)) as image:
        image.seek(1)  # it is there
    assert pixels(data)[0] == pytest.approx(RED, abs=2)


@pytest.mark.parametrize("format", ["BMP", "ICO", "JPEG", "JPEG2000", "PPM", "TGA", "WEBP", "AVIF"])
def test_formats(format, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.new("RGB", (16, 16), (90, 90, 90)), format))
    image = read_image(path).resize((2, 2))  # still usable after the file was closed
    assert np.asarray(image) == pytest.approx(np.full((2, 2, 3), 90), abs=2)


def test_a_pillow_image_stays_as_it_is():
    image = column(RED, GREEN)
    exif = image.getexif()
    exif[0x0112] = 3
    assert pixels(image) == [list(GREEN), list(RED)]
    assert image.getpixel((0, 0)) == RED
    assert read_image(column(RED, RED)).getpixel((0, 0)) == RED


def test_missing_file_folder_empty_file_and_pipe(tmp_path):
    refused(tmp_path / "no.png", f"there is no file '{tmp_path}/no.png'")
    refused("nul\0byte", "there is no file")
    refused(str(tmp_path), "is a folder; pass the path of an image")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "empty.png' is empty")
    refused(b"", "the image of 0 bytes is empty")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is not a regular file; pass the image's bytes")
    refused("https://example.com/cat.png", "is a URL; fetch it yourself and pass its bytes")
    message = refused("x" * 5000, "cannot be read as an image")
    assert len(message) < 400


def test_not_an_image(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("this is a text of some length, not a picture")
    refused(path, "text.png' is not an image in a format that Pillow reads")
    refused(b"abc", "the image of 3 bytes is not an image")
    refused(b"\0" * 100, "the image of 100 bytes is not an image in a format that Pillow reads")


def test_postscript_is_not_run():
    refused(encoded(column(RED, RED), "EPS"), "is not an image in a format that Pillow reads")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_cut_off_files(format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    for part in (0.9, 0.5, 0.1):
        cut = data[: int(len(data) * part)]
        with pytest.raises(InputError, match=f"the image of {len(cut)} bytes"):
            read_image(cut)


def test_bombs_are_refused_from_the_header():
    bomb = bare_png(10_000, 10_000)  # Pillow would warn
    message = "10000 x 10000 pixels, more than the 89478485 pixels allowed; make it smaller first"
    for item in (bomb, Image.open(BytesIO(bare_png(9_000, 9_000)))):
        assert image_size(item, 100_000_000)  # not decoded, not warned about
    refused(bomb, message)
    with pytest.raises(InputError, match="more than the 89478485 pixels"):
        image_size(bomb)
    refused(bare_png(60_000, 60_000), "60000 x 60000 pixels")  # Pillow would raise its own error
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


def test_the_limit_holds_for_every_kind_of_input():
    image = Image.new("RGB", (5, 4))
    for item in (encoded(image), image, np.asarray(image)):
        refused(item, "is 5 x 4 pixels, more than the 19 pixels allowed", max_pixels=19)
        assert read_image(item, max_pixels=20).size == (5, 4)


def test_a_larger_picture_inside_an_icon_is_refused():
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "ICO"))
    data[6:8] = b"\x08\x08"  # the icon says 8 x 8, its picture is 64 x 64
    refused(bytes(data), "64 x 64 pixels, more than the 1000", max_pixels=1000)


def test_pillow_s_own_limit_is_an_input_error_too(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    icon = encoded(Image.new("RGB", (64, 64)), "ICO")  # its plugin checks by itself
    refused(icon, "cannot be read as an image: Image size (4096 pixels) exceeds limit of 20")
    assert read_image(encoded(Image.new("RGB", (64, 64)))).size == (64, 64)


def test_a_damaged_file_says_why():
    data = encoded(Image.new("RGB", (64, 64)), "JPEG")
    refused(data[:-50], "cannot be read as an image: image file is truncated")


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (1, 2)])
def test_one_pixel_a_side_is_refused(size):
    image = Image.new("RGB", size)
    message = f"is {size[0]} x {size[1]} pixels; each side has at least 2 pixels"
    for item in (encoded(image), image, np.asarray(image)):
        refused(item, message)
    refused(np.zeros((0, 5, 3), np.uint8), "is 5 x 0 pixels")


def test_wrong_arrays():
    refused(np.zeros((4, 4, 3), np.float32), "uint8 with values from 0 to 255; got float32")
    refused(np.zeros((4, 4), bool), "got bool")
    refused(np.zeros((3, 4, 5), np.uint8), "got [3, 4, 5]; use np.moveaxis(array, 0, -1)")
    refused(np.zeros((4, 4, 2), np.uint8), "1, 3 or 4 channels]; got [4, 4, 2]")
    refused(np.zeros((1, 4, 4, 3), np.uint8), "got [1, 4, 4, 3]")
    with pytest.raises(InputError, match="got float64"):
        image_size(np.zeros((4, 4, 3)))  # type: ignore[arg-type]  # the wrong type


@pytest.mark.parametrize("item", [None, 3, [[1, 2], [3, 4]], {"image": 1}])
def test_wrong_types(item):
    message = (
        "an image is a path, bytes, a Pillow image or a uint8 array [height, width, channel]; "
        f"got {type(item).__name__}"
    )
    refused(item, message)


def test_a_closed_pillow_image_and_a_mode_without_conversion():
    image = Image.open(BytesIO(encoded(column(RED, RED))))
    image.close()
    refused(image, "cannot be read as an image")
    refused(Image.new("La", (2, 2)), "the Pillow image of mode La cannot be read as an image")
