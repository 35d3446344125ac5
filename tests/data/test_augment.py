"""Augmentation: every part against an answer worked out by hand, by another rule or by Pillow."""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from support.planned_generator import PlannedGenerator

from finetune.data.augment import (
    LEVELS,
    MIRRORED,
    Augmentation,
    Lighting,
    augmentation_of,
    augmented_input,
    flip_and_recolour,
    random_part,
    view_generator,
)
from finetune.data.network_input import to_input
from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.errors import UsageError

CROP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR)
LIGHTING = Lighting.of((100, 50, 20), ((0.6, 0.8, 0), (-0.8, 0.6, 0), (0, 0, 1)))
STRONG = replace(LEVELS["strong"], components=LIGHTING)


def places(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image whose pixels say where they are: blue the row, green the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows, columns, (rows * columns) % 251]).astype(np.uint8)


def test_light_is_a_window_of_227_in_256_mirrored_or_not() -> None:
    """Three whole numbers are drawn: top, left, mirrored; all 30 offsets occur both ways."""
    image, drawn = places(256, 256), set()
    for view in range(1, 1000):
        generator = np.random.default_rng([view, 5])
        top, left, mirrored = generator.integers(30), generator.integers(30), generator.integers(2)
        window = image[top : top + 227, left : left + 227]
        result = augmented_input(image, CROP, np.random.default_rng([view, 5]), LEVELS["light"])
        np.testing.assert_array_equal(result, window[:, ::-1] if mirrored else window)
        drawn |= {("top", int(top)), ("left", int(left)), ("mirrored", int(mirrored))}
    assert len(drawn) == 30 + 30 + 2


def test_random_crops_move_where_the_weights_leave_no_margin() -> None:
    """Image and input of 227: the crops are windows in 256 pixels, the same as of weights that leave them."""
    image, tight = places(227, 227), replace(CROP, resize_to=227)
    random = Augmentation(crop="random")
    for view in range(1, 20):
        one, other = (augmented_input(image, p, np.random.default_rng(view), random) for p in (tight, CROP))
        np.testing.assert_array_equal(one, other)
    views = {augmented_input(image, tight, np.random.default_rng(view), random).tobytes() for view in range(1, 20)}
    assert len(views) == 19
    for seed in (None, np.random.default_rng(1)):
        np.testing.assert_array_equal(augmented_input(image, tight, seed, Augmentation(crop="center")), image)


def test_a_flip_alone_mirrors_half_of_the_views() -> None:
    image, generator = places(256, 256), np.random.default_rng(0)
    plain = to_input(image, CROP)
    drawn = [augmented_input(image, CROP, generator, Augmentation(flip=True)) for _ in range(400)]
    mirrored = [np.array_equal(view, plain[:, ::-1]) for view in drawn]
    assert all(m or np.array_equal(view, plain) for m, view in zip(mirrored, drawn, strict=True))
    assert 150 < sum(mirrored) < 250  # five deviations of 10


def test_without_changes_the_input_is_that_of_prediction() -> None:
    image = places(200, 250)
    np.testing.assert_array_equal(
        augmented_input(image, CROP, np.random.default_rng(0), LEVELS["none"]), to_input(image, CROP)
    )
    assert [name for name, level in LEVELS.items() if not level.changes] == ["none"]


@pytest.mark.parametrize("change", [{"crop": "random"}, {"flip": True}, {"color_jitter": 0.1}, {"lighting": 0.1}])
def test_any_setting_changes_the_views(change: dict[str, Any]) -> None:
    assert Augmentation(**change).changes


@pytest.mark.parametrize("crop", ["center", "random"])
@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_a_warping_network_sees_the_whole_image(crop: Any, interpolation: Any) -> None:
    """It has no crop that could be moved."""
    image, warping = places(310, 400), replace(CROP, resize="warp", interpolation=interpolation)
    plain = to_input(image, warping)
    for seed in range(8):
        result = augmented_input(image, warping, np.random.default_rng(seed), Augmentation(crop=crop, flip=True))
        assert np.array_equal(result, plain) or np.array_equal(result, plain[:, ::-1])


@pytest.mark.parametrize(
    ("order", "mean", "expected"),
    [("BGR", (0, 0, 0), (60, 102, 164)), ("RGB", (0, 0, 0), (164, 102, 60)), ("GRAY", (0,), (116,))],
)
def test_lighting_shifts_along_the_components_by_the_drawn_factors(
    order: Any, mean: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    """0.1 · (1, -2, 5): 10 · (0.6, 0.8, 0) - 10 · (-0.8, 0.6, 0) + 10 · (0, 0, 1) = red 14, green 2, blue 10.

    The gray of red 164, green 102 and blue 60 is 115.75.
    """
    image = np.full((8, 8, 3), (50, 100, 150), np.uint8)  # blue, green, red
    augmentation = Augmentation(lighting=0.1, components=LIGHTING)
    preprocessing = Preprocessing(4, mean, (1,) * len(mean), channel_order=order)
    result = augmented_input(image, preprocessing, PlannedGenerator((1, -2, 5)), augmentation)  # type: ignore[arg-type]
    assert result.dtype == np.uint8
    assert (result == expected).all()


def test_lighting_is_clipped_at_black_and_white() -> None:
    image = np.array([[[250, 250, 250], [0, 1, 2]]], np.uint8)
    augmentation = Augmentation(lighting=0.1, components=LIGHTING)
    assert flip_and_recolour(image, augmentation, PlannedGenerator((1, -2, 5)))[0, 0].tolist() == [255, 252, 255]  # type: ignore[arg-type]
    assert flip_and_recolour(image, augmentation, PlannedGenerator((-1, 2, -5)))[0, 1].tolist() == [0, 0, 0]  # type: ignore[arg-type]


def test_lighting_has_the_given_deviation() -> None:
    image, generator = np.full((1, 1, 3), 128, np.uint8), np.random.default_rng(0)
    augmentation = Augmentation(lighting=0.2, components=LIGHTING)
    colors = np.array([flip_and_recolour(image, augmentation, generator)[0, 0, ::-1] for _ in range(4000)]) - 128.0
    along = colors @ np.array(LIGHTING.vectors).T
    np.testing.assert_allclose(along.std(axis=0), (20, 10, 4), rtol=0.06)
    np.testing.assert_allclose(along.mean(axis=0), 0, atol=1)


def test_jitter_by_hand() -> None:
    """Half as bright: 50 and 100; twice the contrast around 75: 25 and 125; gray has no saturation to lose."""
    image = np.array([[[100] * 3, [200] * 3]], np.uint8)
    stub = PlannedGenerator((0.5, 2, 0), order=(0, 1, 2))
    result = flip_and_recolour(image, Augmentation(color_jitter=1), stub)  # type: ignore[arg-type]
    assert result.tolist() == [[[25] * 3, [125] * 3]]
    assert stub.limits == (0, 2)


def test_half_the_saturation_by_hand() -> None:
    """Red 200, green 100, blue 50 have the gray 124.2, and halfway to it are 162.1, 112.1 and 87.1."""
    stub = PlannedGenerator((1, 1, 0.5), order=(2, 0, 1))
    result = flip_and_recolour(np.array([[[50, 100, 200]]], np.uint8), Augmentation(color_jitter=0.6), stub)  # type: ignore[arg-type]
    assert result.tolist() == [[[87, 112, 162]]]
    assert stub.limits == (0.4, 1.6)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_jitter_agrees_with_pillow_in_any_order(order: tuple[int, ...]) -> None:
    """torchvision's ColorJitter uses these three for a Pillow image."""
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    factors = 1.3, 0.7, 1.35
    expected = Image.fromarray(image[..., ::-1])
    for step in order:
        enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[step]
        expected = enhance(expected).enhance(factors[step])
    result = flip_and_recolour(image, Augmentation(color_jitter=0.4), PlannedGenerator(factors, order))  # type: ignore[arg-type]
    np.testing.assert_allclose(result[..., ::-1].astype(int), np.asarray(expected).astype(int), atol=3)


def test_resized_crops_have_area_and_ratio_within_the_limits() -> None:
    image, generator = places(120, 160), np.random.default_rng(0)
    shares, ratios, edges = [], [], set()
    for _ in range(2000):
        part = random_part(image, generator)
        (rows, columns), (top, left) = part.shape[:2], part[0, 0, :2].astype(int)
        np.testing.assert_array_equal(part, image[top : top + rows, left : left + columns])
        shares.append(rows * columns / (120 * 160))
        ratios.append(columns / rows)
        edges |= {
            ("top", top == 0),
            ("bottom", top + rows == 120),
            ("left", left == 0),
            ("right", left + columns == 160),
        }
    assert len(edges) == 8, "every edge of the image is reached, but not always"
    assert 0.495 < min(shares) < 0.51
    assert 0.95 < max(shares) <= 1
    assert 0.74 < min(ratios) < 0.78
    assert 1.28 < max(ratios) < 1.35


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "rows", "columns"),
    [(10, 200, 0, 93, 10, 13), (200, 10, 93, 0, 13, 10), (1, 1, 0, 0, 1, 1), (1, 200, 0, 99, 1, 1)],
)
def test_resized_crop_of_a_very_long_image_is_its_centre(
    height: int, width: int, top: int, left: int, rows: int, columns: int
) -> None:
    image = places(height, width)
    part = random_part(image, np.random.default_rng(0))
    np.testing.assert_array_equal(part, image[top : top + rows, left : left + columns])


@pytest.mark.parametrize("resize", ["crop", "warp"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (120, 160)])
def test_an_image_of_any_shape_becomes_the_square(resize: Any, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), (10, 20, 30), np.uint8)
    result = augmented_input(
        image, replace(CROP, resize=resize), np.random.default_rng(2), Augmentation(crop="resized")
    )
    assert result.shape == (227, 227, 3)
    assert (result == (10, 20, 30)).all()


def test_a_resized_crop_squeezes_the_part_into_the_square() -> None:
    """Each pixel says where it comes from: even steps from one end of the part to the other."""
    image, generator = places(240, 250), np.random.default_rng(3)
    part = random_part(image, np.random.default_rng(3))
    result = augmented_input(image, CROP, generator, Augmentation(crop="resized")).astype(float)
    for axis, count in ((0, part.shape[0]), (1, part.shape[1])):
        steps = (np.arange(227) + 0.5) * count / 227 - 0.5 + float(part[0, 0, axis])
        np.testing.assert_allclose(result[..., axis].mean(axis=1 - axis), steps, atol=1)


def test_digest_view_and_augmentation_decide_every_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 300, 3), np.uint8)
    before = image.copy()

    def view(digest: str, number: int, augmentation: Augmentation = STRONG) -> bytes:
        return augmented_input(image, CROP, view_generator(digest, number), augmentation).tobytes()

    assert view("ab" * 32, 1) == view("ab" * 32, 1)
    different = [view("ab" * 32, 1), view("ab" * 32, 2), view("cd" * 32, 1), view("ab" * 32, 1, LEVELS["light"])]
    assert len(set(different)) == 4
    assert view("ab" * 32, 0) == view("cd" * 32, 0, LEVELS["light"]) == to_input(image, CROP).tobytes()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("preprocessing", [CROP, replace(CROP, resize="warp"), replace(CROP, channel_order="RGB")])
def test_every_mirrored_view_but_0_is_the_flipped_view_0(preprocessing: Preprocessing) -> None:
    image = places(250, 240)
    as_used = augmented_input(image, preprocessing, view_generator("ab" * 32, 0), MIRRORED)
    np.testing.assert_array_equal(as_used, to_input(image, preprocessing))
    for view in (1, 2):
        mirrored = augmented_input(image, preprocessing, view_generator("ab" * 32, view), MIRRORED)
        np.testing.assert_array_equal(mirrored, np.fliplr(as_used))
        assert mirrored.flags.c_contiguous
    assert (MIRRORED.changes, Augmentation().changes) == (True, False)


def test_settings_replace_those_of_a_level() -> None:
    assert augmentation_of("light") == Augmentation(crop="random", flip=True)
    assert augmentation_of("alexnet") == Augmentation(crop="random", flip=True, lighting=0.1)
    strong = augmentation_of("strong", crop="center", flip=False, lighting=0.0, color_jitter=0.2)
    assert strong == Augmentation(color_jitter=0.2)
    assert augmentation_of("none", lighting=0.3) == Augmentation(lighting=0.3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"level": "stong"},
            "unknown augmentation 'stong' (did you mean strong?); the levels are none, light, alexnet, strong",
        ),
        ({"crop": "centre"}, "crop must be one of center, random, resized, not 'centre'"),
        ({"lighting": -0.1}, "lighting must be from 0 to 1, not -0.1"),
        ({"lighting": float("nan")}, "lighting must be from 0 to 1, not nan"),
        ({"color_jitter": 1.5}, "color_jitter must be from 0 to 1, not 1.5"),
    ],
)
def test_invalid_values(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        augmentation_of(**{"level": "light", **settings})
    assert str(caught.value) == message


def test_lighting_without_components_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^lighting needs the principal components of .*; set components$"):
        flip_and_recolour(places(4, 4), LEVELS["alexnet"], np.random.default_rng(0))


def test_json_text_is_fixed() -> None:
    """It is part of the key of stored features: another text would compute all of them again."""
    assert json.dumps(LEVELS["strong"].to_json()) == (
        '{"crop": "resized", "flip": true, "color_jitter": 0.4, "lighting": 0.1, "components": null, "mirrored": false}'
    )
    assert json.dumps(STRONG.to_json()["components"]) == (
        '{"scales": [100.0, 50.0, 20.0], "vectors": [[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]]}'
    )
