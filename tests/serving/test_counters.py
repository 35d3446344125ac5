"""The counts in Prometheus' text format, against lines written by hand."""

from finetune.serving.counters import RequestCounts, gauge


def test_text() -> None:
    counts = RequestCounts()
    counts.add("/v1/predict", 200, 0.01)
    counts.add("/v1/predict", 200, 0.3)
    counts.add("/v1/predict", 503, 11.0)
    counts.add("other", 404, 0.0)
    text = counts.text()
    assert counts.total() == 4
    for line in (
        "# TYPE finetune_requests_total counter",
        'finetune_requests_total{route="/v1/predict",status="200"} 2',
        'finetune_requests_total{route="/v1/predict",status="503"} 1',
        'finetune_requests_total{route="other",status="404"} 1',
        "# TYPE finetune_request_seconds histogram",
        'finetune_request_seconds_bucket{route="/v1/predict",le="0.01"} 1',  # the bound is in its bucket
        'finetune_request_seconds_bucket{route="/v1/predict",le="0.25"} 1',
        'finetune_request_seconds_bucket{route="/v1/predict",le="0.5"} 2',
        'finetune_request_seconds_bucket{route="/v1/predict",le="10.0"} 2',
        'finetune_request_seconds_bucket{route="/v1/predict",le="+Inf"} 3',
        'finetune_request_seconds_sum{route="/v1/predict"} 11.310000',
        'finetune_request_seconds_count{route="/v1/predict"} 3',
    ):
        assert line in text.splitlines()
    assert text.endswith("\n")


def test_gauge() -> None:
    assert gauge("finetune_images_waiting", "gauge", 7) == (
        "# TYPE finetune_images_waiting gauge\nfinetune_images_waiting 7\n"
    )
