"""Names by position, as in the papers: AlexNet's conv1 to fc8, VGG16's conv1_1 to fc8."""

from finetune.formats.layer_names import conv_names, dense_names


def test_alexnet_has_five_convolutions() -> None:
    assert conv_names(5) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert dense_names(3, convs=5) == ["fc6", "fc7", "fc8"]


def test_vgg16_has_thirteen_in_five_blocks() -> None:
    assert ",".join(conv_names(13)) == (
        "conv1_1,conv1_2,conv2_1,conv2_2,conv3_1,conv3_2,conv3_3,conv4_1,conv4_2,conv4_3,conv5_1,conv5_2,conv5_3"
    )
    assert dense_names(3, convs=13) == ["fc6", "fc7", "fc8"]


def test_any_other_number_is_counted() -> None:
    assert conv_names(1) == ["conv1"]
    assert dense_names(2, convs=2) == ["fc3", "fc4"]
    assert dense_names(0, convs=13) == []
