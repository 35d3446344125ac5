"""How to call an exported model: the example of the card, one a format."""

from finetune.export.folder import MODELS
from finetune.model import Model


def call(format: str, model: Model) -> str:
    """Return Markdown that says what goes in and what comes out, with code that runs."""
    return _CALLS[format](model)


def _saved_model(model: Model) -> str:
    return """In: `image_bytes` (batch,), the bytes of picture files as they are: JPEG (gray, colour, CMYK), PNG (gray,
palette, 16 bits, transparent), GIF (the first frame; transparent pixels become black), WebP, and BMP without
compression (8, 24 or 32 bits). TIFF and other BMP cannot be read; one picture that cannot be read fails its whole
batch. An EXIF orientation is heeded in JPEG and WebP, and in PNG where it stands before the pixels.
Out: `label` (batch,), the most probable class; `class_names` and `probabilities` (batch, classes).

The version folder `1` makes this folder one that TensorFlow Serving takes:

    docker run -p 8501:8501 -v "$PWD:/models/model" tensorflow/serving
    (printf '{"instances": [{"image_bytes": {"b64": "'; base64 -w0 photo.jpg; printf '"}}]}') |
        curl -d @- http://localhost:8501/v1/models/model:predict

In Python:

    import tensorflow as tf

    classify = tf.saved_model.load("1").signatures["serving_default"]
    answer = classify(image_bytes=tf.constant([open("photo.jpg", "rb").read()]))
    print(answer["label"].numpy()[0].decode(), answer["probabilities"].numpy().max())"""


def _keras(model: Model) -> str:
    return f"""In: {_pixels(model)}, as uint8 or float. Out: probabilities (batch, classes), in the order of
`classes.txt`. The layers have the network's names: `model.get_layer("{model.network.weighted_layers()[0]}")`.
`finetune` need not be installed; Keras {_version("keras")} wrote the file.

    import keras
{_open(model)}
    model = keras.models.load_model("{MODELS["keras"]}")
    probabilities = model.predict(pixels)[0]
{_print()}"""


def _litert(model: Model) -> str:
    return f"""In: {_pixels(model)}, as uint8. Out: probabilities (batch, classes) as float32, in the order of
`classes.txt`. For a batch of more than one call `resize_tensor_input` first. Python needs `pip install ai-edge-litert`.

    from ai_edge_litert.interpreter import Interpreter
{_open(model)}
    interpreter = Interpreter("{MODELS["litert"]}")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
{_print()}"""


def _litert_int8(model: Model) -> str:
    return (
        "Weights and activations are int8, but for local response normalisation, if the network has it; the file is a "
        "quarter of the float32 one. Probabilities come in steps of 1/256, so that they may not quite add up to 1.\n\n"
        + _litert(model)
    )


def _onnx(model: Model) -> str:
    return f"""In: {_pixels(model)}, as uint8, named `pixels`. Out: `probabilities` (batch, classes) as float32, in the
order of `classes.txt`. Python needs `pip install onnxruntime`.

    import onnxruntime
{_open(model)}
    session = onnxruntime.InferenceSession("{MODELS["onnx"]}")
    probabilities = session.run(["probabilities"], {{"pixels": pixels}})[0][0]
{_print()}"""


def _npy(model: Model) -> str:
    first = model.network.weighted_layers()[0]
    shape = "×".join(map(str, model.network.weight_shapes()[f"{first}/kernel"]))
    return f"""A dictionary `layer -> [kernel, bias]`, as `bvlc_alexnet.npy` has it; batch norm has
`{{"gamma", "beta", "moving_mean", "moving_variance"}}`. Kernels are (height, width, input channels / groups,
filters) and (inputs, units), the inputs of the first fully connected layer in the order height, width, channel. NumPy
reads a dictionary by unpickling it: load no such file that you do not trust.

    import numpy as np

    weights = np.load("{MODELS["npy"]}", allow_pickle=True).item()
    kernel, bias = weights["{first}"]  # {shape}

`finetune predict --model model.npy` classifies with it too, with numbers for the names of classes."""


_CALLS = {
    "saved_model": _saved_model,
    "keras": _keras,
    "litert": _litert,
    "litert-int8": _litert_int8,
    "onnx": _onnx,
    "npy": _npy,
}


def _pixels(model: Model) -> str:
    height, width, channels = model.network.input_shape
    kind = "gray" if channels == 1 else "RGB"
    return f"pixels (batch, {height}, {width}, {channels}), {kind}, 0 to 255, resized\nas said below"


def _open(model: Model) -> str:
    """Return code that makes `pixels` of a file, nearly as `finetune` does.

    Of 157 photos with the starter's fc8 trained on two classes all got the same first class and probabilities that
    differed by 0.005 in the median; with Resampling.BOX it was 0.010 and two photos got the other class.
    """
    preprocessing = model.network.preprocessing
    side = preprocessing.size
    mode = "L" if preprocessing.channels == 1 else "RGB"
    expand = "[None, :, :, None]" if preprocessing.channels == 1 else "[None]"
    shape = f"({side}, {side})"
    if preprocessing.resize == "warp":
        square = f"image.resize({shape}, Image.Resampling.BILINEAR)"
    elif preprocessing.resize_to == side:
        square = f"ImageOps.fit(image, {shape}, Image.Resampling.BILINEAR)"
    else:
        bleed = (1 - side / preprocessing.resize_to) / 2
        square = f"ImageOps.fit(image, {shape}, Image.Resampling.BILINEAR, bleed={bleed:.4f})"
    return f"""    import numpy as np
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}")
    pixels = np.asarray({square}, np.uint8){expand}"""


def _print() -> str:
    return """    names = open("classes.txt", encoding="utf-8").read().splitlines()
    print(names[probabilities.argmax()], probabilities.max())

Pillow resizes a little differently from `finetune`: probabilities can differ by some hundredths. The very pixels come
from `finetune.data.decode.read_input(path, preprocessing)`."""


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
