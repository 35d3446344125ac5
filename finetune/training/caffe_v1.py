"""Layers as Caffe wrote them before October 2014, in today's form: `layers { type: CONVOLUTION blobs_lr: 1 … }`.

What changes is what Caffe's src/caffe/util/upgrade_proto.cpp changes.
"""

from itertools import zip_longest

from finetune.formats.prototxt import Fields, Message

_TYPES = {
    "ACCURACY": "Accuracy",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DROPOUT": "Dropout",
    "IMAGE_DATA": "ImageData",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "POOLING": "Pooling",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
}
_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")  # were fields of the data


def upgraded(layer: Message) -> Message:
    """Return a layer of the old form in today's; what has no such form stays, and is refused by its name later."""
    values = dict(layer.values)
    kind = layer.text("type")
    values["type"] = [_TYPES.get(kind, kind)]
    rates, decays = values.pop("blobs_lr", []), values.pop("weight_decay", [])
    for rate, decay in zip_longest(rates, decays):
        given: Fields = {"lr_mult": [rate]} if rate is not None else {}
        given |= {"decay_mult": [decay]} if decay is not None else {}
        values["param"] = [*values.get("param", []), Message("", given)]
    for name in ("data_param", "image_data_param"):
        if name in values:
            own = layer.message(name).values
            moved = {key: own[key] for key in _TRANSFORM if key in own}
            values["transform_param"] = [Message("", {**layer.message("transform_param").values, **moved})]
            values[name] = [Message("", {key: value for key, value in own.items() if key not in moved})]
    return Message(layer.place, values)
