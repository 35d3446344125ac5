"""What training minimises: softmax cross-entropy, with label smoothing, mixup and weights for each image."""

import tensorflow as tf


def smoothed_targets(labels: tf.Tensor, num_classes: int, smoothing: float) -> tf.Tensor:
    """Return the target probabilities (images, classes): one-hot, `smoothing` of it spread over all classes.

    Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    return tf.one_hot(labels, num_classes) * (1 - smoothing) + smoothing / num_classes


def mixed(share: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
    """Return each value with `share` of every image but the first, and the rest of the image before it.

    Zhang et al. 2018, mixup. The batch is in random order, so that the image before is a random one.
    """
    return [share * value[1:] + (1 - share) * value[:-1] for value in values]


def weighted_losses(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return each image's cross-entropy in nats times its weight, (images,)."""
    return weights * tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def validation_losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return each image's cross-entropy in nats, without smoothing or weights, (images,)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def count_correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return how many of the images have their largest logit at their label."""
    return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32))
