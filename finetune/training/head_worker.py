"""The trained layers in a process of their own: one of several workers that compute a part of every batch each."""

import os
import pickle
import socket
from typing import Any

from finetune.system.quiet import import_tensorflow, silence


class HeadWorker:
    """One of the workers, which are asked for one thing after the other, all of them for the same."""

    def address(self, host: str) -> str:
        """Return HOST:PORT, where the other workers will reach this one."""
        with socket.socket() as free:
            free.bind((host, 0))
            return f"{host}:{free.getsockname()[1]}"

    def start(self, plan: bytes, addresses: list[str], place: int, sharing: int) -> None:
        """Connect to the other workers and build the layers; returns once all workers have been started.

        `plan`: pickled, since Ray's own way of sending refuses texts that are not UTF-8, as names of files may be.
        `place`: of this worker among the addresses. `sharing`: workers on this machine, which share its cores.
        """
        os.environ.update(grpc_proxy="")  # a proxy is for other hosts; without an answer from it, connecting never ends
        import_tensorflow()
        import tensorflow as tf

        from finetune.training.head import Head

        tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 1) // sharing))
        cluster = tf.train.ClusterSpec({"worker": addresses})
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, "", "worker", place, rpc_layer="grpc")
        with silence():
            self._head = Head(pickle.loads(plan), tf.distribute.MultiWorkerMirroredStrategy(resolver))  # noqa: S301 (from our own command)

    def call(self, method: str, *arguments: Any) -> Any:
        """Return what a method of the layers returns."""
        return getattr(self._head, method)(*arguments)
