"""How to use an exported model: a section of the model card for each format, with example code that runs."""

from importlib.metadata import version

from finetune.export.export_folder import MODELS
from finetune.model import Model
from finetune.system.text import shape_text


def usage(format: str, model: Model) -> str:
    """Return Markdown that describes the inputs and outputs and has example code."""
    return _USAGE[format](model)


def _saved_model(model: Model) -> str:
    return """Input: `image_bytes` (batch,), the unchanged bytes of image files: JPEG (gray, colour, CMYK), PNG (gray,
palette, 16 bits, transparent), GIF (the first frame; transparent pixels become black), WebP, and BMP without
compression (8, 24 or 32 bits). TIFF and other BMP files cannot be read; one unreadable image fails its whole batch. The
EXIF orientation is respected in JPEG and WebP, and in PNG if it comes before the pixels.
Output: `label` (batch,), the most probable class; `class_names` and `probabilities` (batch, classes).

TensorFlow Serving loads this folder as it is, with `compose.yaml` and `models.config`:

    docker compose up --detach
    (printf '{"instances": [{"image_bytes": {"b64": "'; base64 -w0 photo.jpg; printf '"}}]}') |
        curl -d @- http://localhost:8501/v1/models/model:predict

In Python:

    import tensorflow as tf

    classify = tf.saved_model.load("1").signatures["serving_default"]
    answer = classify(image_bytes=tf.constant([open("photo.jpg", "rb").read()]))
    print(answer["label"].numpy()[0].decode(), answer["probabilities"].numpy().max())"""


def _keras(model: Model) -> str:
    return f"""Input: {_pixels(model)}, as uint8 or float. Output: probabilities (batch, classes), in the order of
`classes.txt`. The layers have the network's names: `model.get_layer("{model.network.weighted_layers()[0]}")`.
`finetune` is not needed; Keras {version("keras")} wrote the file.

    import keras
{_open_image(model)}
    model = keras.models.load_model("{MODELS["keras"]}")
    probabilities = model.predict(pixels)[0]
{_PRINT_CLASS}"""


def _litert(model: Model) -> str:
    return f"""Input: {_pixels(model)}, as uint8. Output: probabilities (batch, classes) as float32, in the order of
`classes.txt`. For more than one image, call `resize_tensor_input` first. Python needs `pip install ai-edge-litert`.

    from ai_edge_litert.interpreter import Interpreter
{_open_image(model)}
    interpreter = Interpreter("{MODELS["litert"]}")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
{_PRINT_CLASS}"""


def _litert_int8(model: Model) -> str:
    return (
        "Weights and activations are int8, except for local response normalisation if the network has it; the file is "
        "a quarter of the size of the float32 one. Probabilities are multiples of 1/256, so they may not quite sum to "
        "1.\n\n" + _litert(model)
    )


def _onnx(model: Model) -> str:
    return f"""Input: {_pixels(model)}, as uint8, named `pixels`. Output: `probabilities` (batch, classes) as float32,
in the order of `classes.txt`. Python needs `pip install onnxruntime`.

    import onnxruntime
{_open_image(model)}
    session = onnxruntime.InferenceSession("{MODELS["onnx"]}")
    probabilities = session.run(["probabilities"], {{"pixels": pixels}})[0][0]
{_PRINT_CLASS}"""


def _npy(model: Model) -> str:
    first = model.network.weighted_layers()[0]
    shape = shape_text(model.network.weight_shapes()[f"{first}/kernel"])
    return f"""A dictionary `layer -> [kernel, bias]`, as in `bvlc_alexnet.npy`; batch norm has
`{{"gamma", "beta", "moving_mean", "moving_variance"}}`. Kernels are (height, width, input channels / groups,
filters) and (inputs, units), where the inputs of the first fully connected layer are ordered height, width, channel.
NumPy reads a dictionary by unpickling it: do not load such a file unless you trust it.

    import numpy as np

    weights = np.load("{MODELS["npy"]}", allow_pickle=True).item()
    kernel, bias = weights["{first}"]  # {shape}

`finetune predict --model model.npy` can use it too, with numbers as class names."""


def _web(model: Model) -> str:
    return """A page for any static web server: it classifies images that are dropped, pasted, chosen or taken with the
camera. Everything happens in the browser; images are not sent anywhere, and nothing comes from another server.

    python -m http.server --bind 127.0.0.1

shows it at http://127.0.0.1:8000. To publish it, copy the folder to a web server; browsers allow the camera only over
https and on localhost. It is opened through a server, since browsers load no model from a `file:` address.

`engine.js` decodes JPEGs and resizes images with the same numbers as `finetune`; other kinds of images are decoded by
the browser. The files `onnxruntime-…` are ONNX Runtime, (c) Microsoft Corporation, MIT licence.
A program can use the same files: `const { predict } = await import("./engine.js")`, and `await predict([file])`."""


def _web_int8(model: Model) -> str:
    return "Weights have 8 bits, one scale for each output; the network is computed in float32.\n\n" + _web(model)


_USAGE = {
    "saved_model": _saved_model,
    "keras": _keras,
    "litert": _litert,
    "litert-int8": _litert_int8,
    "onnx": _onnx,
    "npy": _npy,
    "web": _web,
    "web-int8": _web_int8,
}


def _pixels(model: Model) -> str:
    height, width, channels = model.network.input_shape
    kind = "gray" if channels == 1 else "RGB"
    return f"pixels (batch, {height}, {width}, {channels}), {kind}, 0 to 255, resized\nas described below"


def _open_image(model: Model) -> str:
    """Return code that makes `pixels` from a file, nearly as `finetune` does.

    For 157 photos and the starter with fc8 trained on two classes, every photo got the same class and probabilities
    that differed by 0.005 in the median; with Resampling.BOX it was 0.010, and two photos got the other class.
    """
    preprocessing = model.network.preprocessing
    side = preprocessing.size
    mode = "L" if preprocessing.channels == 1 else "RGB"
    expand = "[None, :, :, None]" if preprocessing.channels == 1 else "[None]"
    shape, box = f"({side}, {side})", ""
    if preprocessing.interpolation == "linear":  # Pillow's resize averages where an image shrinks
        square = f"image.transform({shape}, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)"
        box = "\n    box = (0, 0, *image.size)"
        if preprocessing.resize == "crop":
            part = preprocessing.size / preprocessing.resize_to
            box = f"""
    left, top = ((length - {part:.4f} * min(image.size)) / 2 for length in image.size)
    box = (left, top, image.width - left, image.height - top)"""
    elif preprocessing.resize == "warp":
        square = f"image.resize({shape}, Image.Resampling.BILINEAR)"
    elif preprocessing.resize_to == side:
        square = f"ImageOps.fit(image, {shape}, Image.Resampling.BILINEAR)"
    else:
        bleed = (1 - side / preprocessing.resize_to) / 2
        square = f"ImageOps.fit(image, {shape}, Image.Resampling.BILINEAR, bleed={bleed:.4f})"
    return f"""    import numpy as np
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("{mode}"){box}
    pixels = np.asarray({square}, np.uint8){expand}"""


_PRINT_CLASS = """    names = open("classes.txt", encoding="utf-8").read().splitlines()
    print(names[probabilities.argmax()], probabilities.max())

Pillow resizes slightly differently from `finetune`: probabilities can differ by a few hundredths. For exactly the same
pixels use `finetune.data.images.read_input(path, preprocessing)`."""
