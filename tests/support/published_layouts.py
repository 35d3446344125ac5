"""Small drawn image sets in the layouts in which Caltech-101 and Oxford's flowers are published."""

from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from finetune.data.textures import TEXTURES

CLASSES = {"Faces": "stripes", "crab": "dots", "BACKGROUND_Google": "waves"}


def draw_caltech(folder: Path, images: int = 33) -> Path:
    """Draw 101_ObjectCategories into a folder, with the file that BACKGROUND_Google has too; return it."""
    generator = np.random.default_rng(0)
    for name, texture in CLASSES.items():
        (folder / "101_ObjectCategories" / name).mkdir(parents=True)
        for number in range(images):
            path = folder / "101_ObjectCategories" / name / f"image_{number + 1:04d}.jpg"
            cv2.imwrite(str(path), cv2.resize(TEXTURES[texture](generator), (72, 80)))
    (folder / "101_ObjectCategories" / "BACKGROUND_Google" / "tmp").write_text("")
    return folder / "101_ObjectCategories"


def draw_flowers(folder: Path, images: int = 30) -> Path:
    """Draw images of two flowers in turn: a fifth to train on, a fifth to validate, the rest to test."""
    generator = np.random.default_rng(0)
    (folder / "jpg").mkdir(parents=True)
    numbers = np.arange(1, images + 1)
    labels = 1 + numbers % 2
    for number, label in zip(numbers, labels, strict=True):
        image = cv2.resize(TEXTURES[("stripes", "dots")[label - 1]](generator), (72, 80))
        cv2.imwrite(str(folder / "jpg" / f"image_{number:05d}.jpg"), image)
    savemat(folder / "imagelabels.mat", {"labels": labels.astype(np.uint8)[None]})
    fifth = images // 5
    splits = {"trnid": numbers[:fifth], "valid": numbers[fifth : 2 * fifth], "tstid": numbers[2 * fifth :]}
    savemat(folder / "setid.mat", {key: value.astype(np.uint16)[None] for key, value in splits.items()})
    return folder
