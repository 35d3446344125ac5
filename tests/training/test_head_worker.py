"""Where a worker is reached."""

from finetune.training.head_worker import HeadWorker


def test_no_two_workers_have_the_same_port() -> None:
    """Not even before they use it, as many as there are."""
    workers = [HeadWorker() for _ in range(300)]
    addresses = [worker.address("127.0.0.1") for worker in workers]
    for worker in workers:
        worker._held.close()
    assert len(set(addresses)) == len(workers)
    assert all(address.startswith("127.0.0.1:") for address in addresses)
