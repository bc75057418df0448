"""Reads metrics with the parsers of Prometheus' Python client; the arguments are two files: in the
text format of Prometheus and in that of OpenMetrics. Prints one line of JSON for each."""

import json
import sys

from prometheus_client.openmetrics.parser import (
    text_fd_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_fd_to_metric_families as read_prometheus

for path, read in zip(sys.argv[1:3], (read_prometheus, read_openmetrics)):
    with open(path, encoding="utf-8", newline="") as file:
        families = {}
        for family in read(file):
            assert family.name not in families, f"{family.name} stands twice"
            assert family.documentation, f"{family.name} has no help"
            families[family.name] = {
                "type": family.type,
                "unit": family.unit,
                "samples": {
                    f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
                    for sample in family.samples
                },
            }
        print(json.dumps(families))
